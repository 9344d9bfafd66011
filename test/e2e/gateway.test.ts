import { execFile, spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { localSettings, ssmSettings } from '../../local/cloud/clients.ts';
import { newCredentials, region } from '../../local/cloud/credentials.ts';
import { projectRoot, statePaths } from '../../local/cloud/paths.ts';
import { type LocalState, readState } from '../../local/cloud/state.ts';
import { ensureVenv } from '../../local/tools/python-tools.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { giveNotice } from '../support/cloud/notice.ts';
import { shellEnvironment } from '../support/cloud/runctl.ts';

const NOBODY = 65_534;
const support = (name: string) => fileURLToPath(new URL(`../support/gateway/${name}`, import.meta.url));
const requirements = join(projectRoot, 'local', 'tools', 'requirements-aws.txt');
const run = promisify(execFile);
// A bucket of this file's own: an upload to the stack's would start runs.
const Bucket = 'gateway-test';

let state: LocalState;
let instance: string;
let s3: S3Client;
beforeAll(async () => {
  instance = (await Cloud.connect()).instanceId;
  const read = await readState(statePaths(inject('cloudFolder')));
  if (read === undefined) throw new Error('there is no local cloud');
  state = read;
  s3 = new S3Client(localSettings(state));
  await s3.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
  for (const { Key } of Contents) await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  await s3.send(new DeleteBucketCommand({ Bucket }));
  s3.destroy();
});

interface Try {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}
interface Form {
  readonly url: string;
  readonly fields: Record<string, string>;
}

interface Answer {
  readonly status: number | string;
  readonly headers: Record<string, string>;
  readonly text: string;
}

/** What runs code as the owner of the cloud, sees it, or wipes it. */
function attacks(): Try[] {
  const { endpoint, ssmEndpoint } = state;
  const send = { DocumentName: 'AWS-RunShellScript', InstanceIds: [instance], Parameters: { commands: ['id'] } };
  const ssm = { 'x-amz-target': 'AmazonSSM.SendCommand', 'content-type': 'application/x-amz-json-1.1' };
  const forged = `AWS4-HMAC-SHA256 Credential=test/20260101/${region}/s3/aws4_request, SignedHeaders=host, Signature=0`;
  return [
    { url: `${endpoint}/` },
    { url: `${endpoint}/_ministack/health` },
    { url: `${endpoint}/_ministack/reset`, method: 'POST' },
    { url: `${endpoint}/${Bucket}/uploads/digits/x.tar.gz`, method: 'PUT', body: 'code' },
    { url: `${endpoint}/${Bucket}/x`, method: 'PUT', body: 'code', headers: { authorization: forged } },
    { url: `${endpoint}/2015-03-31/functions/runctl-start-run/invocations`, method: 'POST', body: '{}' },
    {
      url: `${endpoint}/`,
      method: 'POST',
      headers: { 'x-amz-target': 'AWSStepFunctions.ListStateMachines' },
      body: '{}',
    },
    { url: `${endpoint}/`, method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{}' },
    { url: `${endpoint}/`, method: 'OPTIONS', headers: { 'access-control-request-method': 'PUT' } },
    { url: `${endpoint}/`, headers: { 'x-runctl-verify-only': '1' } },
    { url: `${ssmEndpoint}/`, method: 'POST', headers: ssm, body: JSON.stringify(send) },
    { url: `${ssmEndpoint}/`, method: 'POST', headers: { 'content-type': 'text/plain' }, body: JSON.stringify(send) },
    { url: `${ssmEndpoint}/`, method: 'OPTIONS', headers: { 'access-control-request-method': 'POST' } },
    { url: `${ssmEndpoint}/_runctl/health` },
    { url: `${ssmEndpoint}/_runctl/faults`, method: 'DELETE' },
  ];
}

/** As `fetch`, which would not send any Host or Origin. */
async function raw({ url, method = 'GET', headers = {}, body = '' }: Try): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers: { 'content-length': body.length, ...headers } }, (answer) => {
      text(answer).then(
        (content) =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers as Answer['headers'], text: content }),
        reject,
      );
    });
    request.once('error', reject).end(body);
  });
}

const corsHeaders = ({ headers }: Answer) => Object.keys(headers).filter((name) => name.startsWith('access-control-'));

describe('the local cloud, to others', () => {
  it.skipIf(process.getuid?.() !== 0)('refuses another user of the machine, who cannot find its key either', () => {
    const paths = statePaths(inject('cloudFolder'));
    const own = [paths.stateFile, paths.logs, join(paths.agent, 'documents.json'), join(paths.logs, 'ministack.log')];
    const imds = { url: `${state.endpoint}/latest/api/token`, method: 'PUT' };
    const tries = [...attacks(), imds, { url: `${state.endpoint}/latest/meta-data/iam/security-credentials/` }];
    const script = readFileSync(support('intruder.cjs'), 'utf8');
    const done = spawnSync(process.execPath, ['-e', script, '--', JSON.stringify({ tries, files: own })], {
      uid: NOBODY,
      gid: NOBODY,
      cwd: '/',
      env: {},
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    });
    expect(done.stderr).toBe('');
    const seen = JSON.parse(done.stdout) as { uid: number; answers: Answer[]; files: string[]; seen: string };
    expect(seen.uid).toBe(NOBODY);
    expect(seen.answers.map(({ status }) => status)).toEqual(tries.map(() => 403));
    expect(seen.answers.flatMap(corsHeaders)).toEqual([]);
    expect(seen.files).toEqual(own.map(() => 'EACCES'));
    expect(seen.seen).toContain('local/gateway'); // it sees the process…
    expect(seen.seen).not.toContain(state.credentials.secretAccessKey);
  });

  it('refuses unsigned requests of its own user, and pages in their browser', async () => {
    const own = { origin: state.endpoint };
    for (const headers of [{}, { origin: 'http://evil.example' }, { origin: 'null' }, own, { host: 'evil.example' }]) {
      for (const one of attacks()) {
        const answer = await raw({ ...one, headers: { ...one.headers, ...headers } });
        expect([one.url, answer.status, corsHeaders(answer)]).toEqual([one.url, 403, []]);
      }
    }
  });

  it('refuses another secret, and a URL that is expired or was changed', async () => {
    const stranger = {
      ...localSettings(state),
      credentials: { ...state.credentials, secretAccessKey: newCredentials().secretAccessKey },
    };
    const refused = { $metadata: { httpStatusCode: 403 } };
    await s3.send(new PutObjectCommand({ Bucket, Key: 'kept', Body: 'kept' }));
    const put = new PutObjectCommand({ Bucket, Key: 'kept', Body: 'other' });
    await expect(new S3Client(stranger).send(put)).rejects.toMatchObject(refused);
    const parameter = new PutParameterCommand({ Name: '/x', Value: 'y', Type: 'String' });
    const ssm = new SSMClient({ ...stranger, endpoint: state.ssmEndpoint });
    await expect(ssm.send(parameter)).rejects.toMatchObject(refused);

    const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: 'kept' }), { expiresIn: 60 });
    const early = new Date(Date.now() - 70_000);
    const expired = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: 'kept' }), {
      expiresIn: 60,
      signingDate: early,
    });
    const status = async (address: string, method = 'GET') => (await fetch(address, { method })).status;
    expect(await status(url)).toBe(200);
    expect([await status(expired), await status(url.replace('/kept', '/other')), await status(url, 'DELETE')]).toEqual([
      403, 403, 403,
    ]);
    expect(await status(url.replace('X-Amz-Expires=60', 'X-Amz-Expires=600'))).toBe(403);
    expect(await (await fetch(url)).text()).toBe('kept');
  });

  it('keeps its key where nobody else reads it', () => {
    const paths = statePaths(inject('cloudFolder'));
    expect([paths.local, paths.stateFile].map((path) => (statSync(path).mode & 0o777).toString(8))).toEqual([
      '700',
      '600',
    ]);
    expect(statSync(paths.instance).mode & 0o066).toBe(0);
    expect(readFileSync(paths.stateFile, 'utf8')).toContain(state.credentials.secretAccessKey);
  });
});

describe('the local cloud, to its own user', () => {
  it('serves boto3, with what `runctl local env` prints', async () => {
    const aws = await ensureVenv('aws', requirements, console.log);
    const args = [support('boto.py'), Bucket, 'AWS-RunShellScript', instance];
    const { stdout } = await run(join(aws, 'bin', 'python'), args, { env: await shellEnvironment() });
    const { output, posts, urls } = JSON.parse(stdout) as { output: string; posts: Form[]; urls: string[] };
    expect(output).toBe('from boto3\n');

    // By Signature Version 2, which is boto3's default, and by Version 4.
    expect(urls.map((url) => /[?&](Signature|X-Amz-Signature)=/.exec(url)?.[1])).toEqual([
      'Signature',
      'X-Amz-Signature',
    ]);
    for (const url of urls) {
      const status = async (address: string, method = 'GET') => (await fetch(address, { method })).status;
      expect(await status(url)).toBe(200);
      for (const changed of [url.replace('/boto/', '/cli/'), `${url}&acl`, `${url}&x=y`])
        expect(await status(changed), changed).toBe(403);
      expect(await status(url.replace(/Expires=\d/, 'Expires=0'))).toBe(403);
      expect(await status(url, 'DELETE')).toBe(403);
    }
    for (const { url, fields } of posts) {
      const upload = async (changed: Record<string, string | undefined>) => {
        const form = new FormData();
        for (const [name, value] of Object.entries({ ...fields, ...changed }))
          if (value !== undefined) form.set(name, value);
        form.set('file', new Blob(['content']), 'file.txt');
        return (await fetch(url, { method: 'POST', body: form })).status;
      };
      const signature = 'signature' in fields ? 'signature' : 'x-amz-signature';
      for (const changed of [
        { [signature]: '0'.repeat(64) },
        { [signature]: undefined },
        { key: 'elsewhere' },
        { policy: 'e30=' },
      ])
        expect(await upload(changed), JSON.stringify(changed)).toBe(403);
      expect(await upload({})).toBe(204);
      const object = await s3.send(new GetObjectCommand({ Bucket, Key: 'boto/posted' }));
      expect(await object.Body?.transformToString()).toBe('content');
      await s3.send(new DeleteObjectCommand({ Bucket, Key: 'boto/posted' }));
    }
  });

  it('serves the AWS CLI', async () => {
    const venv = await ensureVenv('aws', requirements, console.log);
    const env = await shellEnvironment();
    const aws = async (...args: string[]) => (await run(join(venv, 'bin', 'aws'), args, { env })).stdout;
    const large = join(inject('cloudFolder'), 'gateway-large');
    writeFileSync(large, Buffer.alloc(9 * 1024 * 1024, 7));
    await aws('s3', 'cp', large, `s3://${Bucket}/cli/large file`, '--no-progress');
    await aws('s3', 'cp', `s3://${Bucket}/cli/large file`, `${large}-back`, '--no-progress');
    expect(readFileSync(`${large}-back`).equals(readFileSync(large))).toBe(true);
    const url = (await aws('s3', 'presign', `s3://${Bucket}/cli/large file`, '--expires-in', '60')).trim();
    expect((await fetch(url)).status).toBe(200);
    expect(await aws('stepfunctions', 'list-state-machines', '--output', 'text')).toContain('runctl-run');
    expect(await aws('logs', 'describe-log-groups', '--output', 'text')).toContain('/runctl/runs');
    const base = ['--owners', '099720109477', '--filters', 'Name=name,Values=runctl-local'];
    const described = await aws(
      'ec2',
      'describe-images',
      ...base,
      '--query',
      'Images[].[ImageId,State]',
      '--output',
      'text',
    );
    expect(described).toBe('ami-00000000000000000\tavailable\n');
    await aws('ssm', 'put-parameter', '--name', '/cli/x', '--value', 'y', '--type', 'String', '--overwrite');
    expect(await aws('ssm', 'get-parameter', '--name', '/cli/x', '--output', 'text')).toContain('\ty');
    await expect(
      run(join(venv, 'bin', 'aws'), ['s3', 'ls'], { env: { ...env, AWS_SECRET_ACCESS_KEY: 'test' } }),
    ).rejects.toThrow(/SignatureDoesNotMatch.*runctl local env/);
  });

  it('has a metadata service for processes of its user, with a token and a session that its services take', async () => {
    const imds = async (path: string, method: string, headers: Record<string, string>) =>
      await raw({ url: `${state.endpoint}/latest/${path}`, method, headers });
    const token = (await imds('api/token', 'PUT', { 'x-aws-ec2-metadata-token-ttl-seconds': '60' })).text;
    const header = { 'x-aws-ec2-metadata-token': token };
    const roles = 'meta-data/iam/security-credentials';
    expect((await imds(roles, 'GET', {})).status).toBe(401);
    const role = (await imds(roles, 'GET', header)).text;
    const keys = JSON.parse((await imds(`${roles}/${role}`, 'GET', header)).text) as Record<string, string>;
    const credentials = {
      accessKeyId: keys.AccessKeyId ?? '',
      secretAccessKey: keys.SecretAccessKey ?? '',
      sessionToken: keys.Token ?? '',
    };
    const own = new SSMClient(ssmSettings(state));
    await own.send(
      new PutParameterCommand({ Name: '/gateway/secret', Value: 'v', Type: 'SecureString', Overwrite: true }),
    );
    const parameter = new GetParameterCommand({ Name: '/gateway/secret', WithDecryption: true });
    const ssm = new SSMClient({ ...ssmSettings(state), credentials });
    expect((await ssm.send(parameter)).Parameter?.Value).toBe('v');
    const other = new SSMClient({ ...ssmSettings(state), credentials: { ...credentials, sessionToken: 'another' } });
    await expect(other.send(parameter)).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } });
  });

  it('has the notices of EC2 that a file gives to an instance, and 404 without', async () => {
    const [one, other] = ['i-00000000000000001', 'i-00000000000000002'];
    const imds = async (instance: string, path: string, method: string, headers: Record<string, string>) =>
      await raw({ url: `${state.endpoint}/instances/${instance}/latest/${path}`, method, headers });
    const seconds = { 'x-aws-ec2-metadata-token-ttl-seconds': '60' };
    const header = { 'x-aws-ec2-metadata-token': (await imds(one, 'api/token', 'PUT', seconds)).text };
    const action = 'meta-data/spot/instance-action';
    expect((await imds(one, action, 'GET', header)).status).toBe(404);
    const notice = { action: 'terminate', time: '2026-11-27T12:00:00Z' } as const;
    giveNotice(statePaths(inject('cloudFolder')), one, { 'instance-action': notice });
    expect(JSON.parse((await imds(one, action, 'GET', header)).text)).toEqual(notice);
    expect((await imds(one, action, 'GET', {})).status).toBe(401);
    expect((await imds(one, 'meta-data/events/recommendations/rebalance', 'GET', header)).status).toBe(404);
    expect((await imds(other, action, 'GET', header)).status).toBe(404);
    expect((await imds(other, 'meta-data/instance-id', 'GET', header)).status).toBe(200);
  });
});
