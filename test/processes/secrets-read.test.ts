import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeServices, type Stored } from '../support/secrets/fake-services.ts';
import { python } from '../support/secrets/python.ts';

interface Read {
  readonly values: Record<string, string>;
  readonly problems: Record<string, { cause: string; text: string }>;
  /** SecretUnavailable's text; null when all could be read. */
  readonly raised: string | null;
  readonly seconds: number;
}

let services: FakeServices;
beforeEach(async () => {
  services = new FakeServices();
  await services.listen();
});
afterEach(() => services.close());

/** read() and read_or_raise() of the runner with the agent's environment. */
async function read(
  secrets: Record<string, string>,
  changed: Record<string, string | undefined> = {},
  seconds = 20,
): Promise<Read> {
  const env = Object.fromEntries(
    Object.entries({ ...services.environment, ...changed }).filter(([, value]) => value !== undefined),
  );
  return await python(
    `import time
from common.secrets import read
started = time.monotonic()
found = read.read(asked["secrets"], asked["env"], asked["seconds"])
seconds = time.monotonic() - started
problems = {name: {"cause": problem.cause, "text": str(problem)} for name, problem in found.problems.items()}
raised = read.describe(asked["secrets"], found.problems) if found.problems else None
print(json.dumps({"values": found.values, "problems": problems, "raised": raised, "seconds": seconds}))`,
    { secrets, env, seconds },
  );
}

describe('a secret', () => {
  it('is read from both services with the role of the instance and its session token', async () => {
    services.stored.set('ssm:/team/wandb', { value: 'a-wandb-key' });
    services.stored.set('secretsmanager:hf', { value: '{"token": "hf_abc", "port": 8080}' });
    const secrets = {
      WANDB_API_KEY: 'ssm:/team/wandb',
      HF_TOKEN: 'secretsmanager:hf#token',
      HF_PORT: 'secretsmanager:hf#port',
      HF_ALL: 'secretsmanager:hf',
    };
    expect(await read(secrets)).toMatchObject({
      values: {
        WANDB_API_KEY: 'a-wandb-key',
        HF_TOKEN: 'hf_abc',
        HF_PORT: '8080',
        HF_ALL: '{"token": "hf_abc", "port": 8080}',
      },
      problems: {},
    });
    expect(services.requests[0]).toEqual({
      target: 'AmazonSSM.GetParameter',
      body: { Name: '/team/wandb', WithDecryption: true },
      region: 'eu-central-1',
    });
    expect(services.requests[1]).toMatchObject({ target: 'secretsmanager.GetSecretValue', body: { SecretId: 'hf' } });
  });

  it('is asked for in the Region of the agent, else of the instance, or in that of its own ARN', async () => {
    const arn = 'arn:aws:ssm:us-west-2:111122223333:parameter/team/wandb';
    services.stored.set('ssm:/a', { value: 'aaaa' });
    services.stored.set(`ssm:${arn}`, { value: 'bbbb' });
    const found = await read({ A: 'ssm:/a', B: `ssm:${arn}` }, { AWS_SSM_REGION_NAME: undefined });
    expect(found).toMatchObject({ values: { A: 'aaaa', B: 'bbbb' } });
    expect(services.requests.map(({ region }) => region)).toEqual(['ap-south-1', 'us-west-2']);
  });

  it('is read again after throttling and a fault of the service', async () => {
    services.stored.set('ssm:/a', { error: 'ThrottlingException', times: 2, value: 'aaaa' });
    services.stored.set('secretsmanager:b', { error: 'InternalFailure', status: 503, times: 4, value: 'bbbb' });
    expect(await read({ A: 'ssm:/a', B: 'secretsmanager:b' })).toMatchObject({ values: { A: 'aaaa', B: 'bbbb' } });
  });

  it('may hold 64 KiB of any text', async () => {
    const value = 'ü"\\\n'.repeat(65_536 / 5).padEnd(65_536 - 13_107, 'x');
    services.stored.set('secretsmanager:big', { value });
    const found = await read({ BIG: 'secretsmanager:big' });
    expect([Buffer.byteLength(value), found.values.BIG === value]).toEqual([65_536, true]);
  });
});

describe('a secret that cannot be read', () => {
  const denied = 'User: arn:aws:sts::1:assumed-role/trainer/i-0 is not authorized to perform: ssm:GetParameter';
  const cases: readonly (readonly [string, string, Stored | null, string, RegExp])[] = [
    [
      'denied',
      'ssm:/a',
      { error: 'AccessDeniedException', message: denied },
      'AccessDenied',
      /i-0 is not authorized .*Allow ssm:GetParameter on it for the instance's role trainer/,
    ],
    [
      'denied, of Secrets Manager',
      'secretsmanager:a',
      { error: 'AccessDeniedException' },
      'AccessDenied',
      /secretsmanager:GetSecretValue on it for the instance's role trainer/,
    ],
    [
      'denied by the key',
      'ssm:/a',
      { error: 'AccessDeniedException', message: 'The ciphertext refers to a KMS key …' },
      'NotDecrypted',
      /kms:Decrypt .* role trainer/,
    ],
    ['not decrypted', 'secretsmanager:a', { error: 'DecryptionFailure' }, 'NotDecrypted', /kms:Decrypt/],
    ['missing', 'ssm:/a', null, 'NotFound', /ParameterNotFound.*Check the name/],
    ['missing, of Secrets Manager', 'secretsmanager:a', null, 'NotFound', /ResourceNotFoundException/],
    [
      'of a request that ended',
      'ssm:/a',
      { error: 'com.amazon#ExpiredTokenException' },
      'Refused',
      /ExpiredTokenException.*clock/,
    ],
    ['binary', 'secretsmanager:a', { answer: { SecretBinary: 'AAAA' } }, 'Unusable', /is binary/],
    ['empty', 'secretsmanager:a', { value: '' }, 'Unusable', /is empty/],
    ['with NUL', 'ssm:/a', { value: 'a\0b' }, 'Unusable', /NUL/],
    ['too long', 'secretsmanager:a', { value: 'x'.repeat(65_537) }, 'Unusable', /65537 bytes; the maximum is 65536/],
    ['no JSON', 'secretsmanager:a#key', { value: 'plain' }, 'Unusable', /not a JSON object/],
    ['without the key', 'secretsmanager:a#key', { value: '{"other": "v"}' }, 'Unusable', /no key key/],
    ['no string', 'secretsmanager:a#key', { value: '{"key": ["v"]}' }, 'Unusable', /does not hold a string/],
    ['no answer of the service', 'ssm:/a', { answer: { Parameter: [] } }, 'Unusable', /could not be parsed/],
  ];
  it.each(cases)('because it is %s, says so with the reference', async (_title, reference, stored, cause, text) => {
    if (stored !== null) services.stored.set(reference.split('#')[0] ?? '', stored);
    const { raised, problems } = await read({ THE_NAME: reference });
    expect(problems.THE_NAME?.cause).toBe(cause);
    expect(raised).toMatch(text);
    expect(raised).toContain(`The secret ${reference} (for THE_NAME) cannot be read: ${cause}: `);
  });

  it('never shows what the others hold, nor what it holds itself', async () => {
    services.stored.set('secretsmanager:a', { value: '{"other": "hidden-value-1"}' });
    services.stored.set('secretsmanager:b', { value: 'hidden-value-2\0' });
    services.stored.set('ssm:/c', { value: 'hidden-value-3' });
    services.stored.set('secretsmanager:d', { value: '["hidden-value-4"]' });
    const found = await read({
      A: 'secretsmanager:a#key',
      B: 'secretsmanager:b',
      C: 'ssm:/c',
      D: 'secretsmanager:d#key',
    });
    expect(Object.keys(found.problems)).toEqual(['A', 'B', 'D']);
    expect(JSON.stringify([found.raised, found.problems])).not.toContain('hidden-value');
  });

  it('because the instance has no role, or a role without credentials', async () => {
    services.role = null;
    expect((await read({ A: 'ssm:/a', B: 'ssm:/b' })).raised).toBe(
      'The secrets ssm:/a (for A), ssm:/b (for B) cannot be read: NoRole: the instance has no role. ' +
        'Attach an instance profile whose role may read it, and enable the metadata service.',
    );
  });

  it('because the metadata service is off, refuses or is not there', async () => {
    services.tokenStatus = 403;
    expect((await read({ A: 'ssm:/a' })).raised).toMatch(/MetadataUnavailable: .*it answered 403\. Enable/);
    const nowhere = { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:1' };
    expect((await read({ A: 'ssm:/a' }, nowhere)).raised).toMatch(/MetadataUnavailable: .*Connection refused/);
  });

  it('because the service is not there, by its own endpoint, within the time', async () => {
    services.stored.set('secretsmanager:b', { value: 'bbbb' });
    const found = await read({ B: 'secretsmanager:b', A: 'ssm:/a' }, { AWS_ENDPOINT_URL_SSM: 'http://127.0.0.1:1' }, 3);
    expect(found.raised).toMatch(
      /^The secret ssm:\/a \(for A\) .*Unreachable: ssm in eu-central-1 .*Connection refused/,
    );
    expect(found.values).toEqual({ B: 'bbbb' });
    expect(found.seconds).toBeLessThan(4);
  });

  it('because others have used up the time', async () => {
    services.stored.set('ssm:/a', { error: 'ThrottlingException' });
    const names = Array.from({ length: 20 }, (_, index) => [`S${index}`, 'ssm:/a']);
    const found = await read(Object.fromEntries(names), {}, 2);
    expect(found.seconds).toBeLessThan(3);
    expect(found.problems.S0?.text).toMatch(/Unreachable: .* it answered 400 ThrottlingException/);
    expect(found.problems.S19?.text).toMatch(/Unreachable: .* there was no time left/);
  });

  it.each([
    'hf_a_value_instead',
    'ssm:',
    'ssm:/a b',
    'ssm:/a#key',
    'ssm:/a\n',
    'secretsmanager:',
    'secretsmanager:a#',
    'secretsmanager:a b',
    'env:A',
    'SSM:/a',
    'ssm:arn:aws:ec2:eu-central-1:111122223333:instance/i-0',
  ])('because it is no reference: %j', async (text) => {
    const { problems } = await read({ A: text });
    expect(problems.A?.cause).toBe('Refused');
    expect(services.requests).toEqual([]);
  });

  it.each([
    'ssm:name',
    'ssm:/a/b.c_d-e:3',
    'ssm:/a:stable',
    'ssm:arn:aws-us-gov:ssm:us-gov-west-1:111122223333:parameter/a/b',
    'secretsmanager:a/b@c',
    'secretsmanager:arn:aws:secretsmanager:eu-central-1:111122223333:secret:a/b-AbCdEf#a key',
  ])('and one that can: %s', async (text) => {
    const { problems } = await read({ A: text });
    expect(problems.A?.cause).toBe('NotFound');
    expect(services.requests).toHaveLength(1);
  });

  it('sends no request if there are no secrets', async () => {
    expect(await read({}, { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:1' })).toMatchObject({ problems: {} });
  });
});

describe('the services are reached', () => {
  it('without the proxy of the environment', async () => {
    services.stored.set('ssm:/a', { value: 'aaaa' });
    const proxies = {
      http_proxy: 'http://127.0.0.1:1',
      https_proxy: 'http://127.0.0.1:1',
      ALL_PROXY: 'http://127.0.0.1:1',
    };
    const code = `from common.secrets import read
print(json.dumps(read.read(asked["secrets"], asked["env"]).values))`;
    expect(await python(code, { secrets: { A: 'ssm:/a' }, env: services.environment }, proxies)).toEqual({ A: 'aaaa' });
  });

  it.each([
    ['ssm', 'eu-central-1', 'https://ssm.eu-central-1.amazonaws.com'],
    ['secretsmanager', 'us-gov-west-1', 'https://secretsmanager.us-gov-west-1.amazonaws.com'],
    ['ssm', 'cn-north-1', 'https://ssm.cn-north-1.amazonaws.com.cn'],
  ])('%s in %s at %s', async (service, region, url) => {
    const code = `from common.secrets import service
print(json.dumps(service.endpoint_of(asked[0], asked[1], {})))`;
    expect(await python(code, [service, region])).toBe(url);
  });
});
