import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProbeAnswer } from '../../core/protocol/probe.ts';
import { useCollectSetup } from '../support/instance/collect-setup.ts';
import { killQuietly } from '../support/instance/processes.ts';
import {
  AGENT_PATH,
  type Answer,
  logBytes,
  type TestInstance,
  type TestRun,
  useInstances,
} from '../support/instance/test-instance.ts';
import { FakeServices } from '../support/secrets/fake-services.ts';

const instances = useInstances();
const collectSetup = useCollectSetup();
const SECRETS = { HF_TOKEN: 'secretsmanager:hf#token', WANDB_API_KEY: 'ssm:/team/wandb' };
const HF = 'hf_Zq3+xk/9Lm"Rt7';
const WANDB = 'wandb-0f93ab12c4';
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

let services: FakeServices;
beforeEach(async () => {
  services = new FakeServices();
  await services.listen();
  services.stored.set('secretsmanager:hf', { value: JSON.stringify({ token: HF }) });
  services.stored.set('ssm:/team/wandb', { value: WANDB });
});
afterEach(() => services.close());

const SAYS_DIGESTS = `import hashlib, os, sys, time
for name in ("HF_TOKEN", "WANDB_API_KEY"):
    print(name, hashlib.sha256(os.environ[name].encode()).hexdigest(), flush=True)
`;
const DIGESTS = `HF_TOKEN ${sha256(HF)}\nWANDB_API_KEY ${sha256(WANDB)}\n`;

/** Whether a value, or its base64, is in the text. */
function leaks(text: string): string[] {
  const forms = [HF, WANDB].flatMap((value) => [
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value),
    Buffer.from(value).toString('base64').replace(/=+$/, ''),
  ]);
  return forms.filter((form) => text.includes(form));
}

/** Files below a folder that hold a value; gzip is looked into. */
function leakyFiles(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.map((entry) => join(entry.parentPath, entry.name)).filter((path) => leaks(contentOf(path)).length > 0);
}

function contentOf(path: string): string {
  const bytes = readFileSync(path);
  return bytes.toString('latin1') + (path.endsWith('.gz') ? gunzipSync(bytes).toString('latin1') : '');
}

/** What /proc says of the processes that an instance started: `pid file` where a value is. */
function leakyProcesses(here: TestInstance, file: 'cmdline' | 'environ', except: readonly number[] = []): string[] {
  return here
    .processes()
    .filter((pid) => !except.includes(pid) && leaks(readFileSync(`/proc/${pid}/${file}`, 'latin1')).length > 0)
    .map((pid) => `${pid} ${file}`);
}

describe('a job with secrets', () => {
  it('finds them in its environment; they are in no file, argument, answer or other process', async () => {
    const here = instances({ env: services.environment });
    here.write('train.py', `${SAYS_DIGESTS}time.sleep(30)\n`);
    const run = here.giveLease(here.run());
    const started = await here.start(run, { train: { secrets: SECRETS, env: { SEED: '1' } } });
    const running = await here.until(run, 'train', ({ log }) => log.bytes === DIGESTS.length);
    expect(logBytes(running).toString()).toBe(DIGESTS);

    const pid = running.pid ?? 0;
    expect(leaks(readFileSync(`/proc/${pid}/environ`, 'latin1'))).toContain(WANDB);
    expect(leakyProcesses(here, 'cmdline')).toEqual([]);
    expect(leakyProcesses(here, 'environ', [pid])).toEqual([]);
    await here.stop(run, 0);
    const ended = await here.ended(run, 'train');
    expect(leaks(JSON.stringify([started, running, ended]))).toEqual([]);
    expect(leakyFiles(here.base)).toEqual([]);
    expect(here.marker(run, 'train', 'request.json')).toMatchObject({ train: { secrets: SECRETS } });
  });

  it('has them taken out of its last lines, however it prints them', async () => {
    const here = instances({ env: services.environment });
    here.write(
      'train.py',
      `import base64, json, os, urllib.parse
value = os.environ["HF_TOKEN"]
print("x" * 70000 + value)
print(value)
print(json.dumps({"token": value}))
print("https://h/?t=" + urllib.parse.quote(value, safe=""))
print("Basic " + base64.b64encode(("me:" + value).encode()).decode())
print("end of", os.environ["WANDB_API_KEY"], "!")
`,
    );
    const run = here.giveLease(here.run());
    await here.start(run, { train: { secrets: SECRETS } });
    const { tail, state, log } = await here.ended(run, 'train');
    expect(state).toBe('exited');
    expect(leaks(JSON.stringify(tail))).toEqual([]);
    expect(tail?.at(-1)).toBe('end of *** !');
    expect(tail?.at(-2)).toMatch(/^Basic \S{0,8}\*\*\*\S{0,4}$/);
    expect(tail?.slice(-5, -2)).toEqual(['***', '{"token": "***"}', 'https://h/?t=***']);
    expect(log.size).toBeGreaterThan(70_000); // what a script prints is in its log, to the letter
  });

  it('has the longest there is taken out of them too, of which the last lines could only show the end', async () => {
    const here = instances({ env: services.environment });
    const value = randomBytes(32_768).toString('hex');
    services.stored.set('secretsmanager:long', { value });
    here.write('train.py', 'import os\nprint(os.environ["LONG"])\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: { secrets: { LONG: 'secretsmanager:long' } } });
    const { tail, log } = await here.ended(run, 'train');
    expect([tail, log.size]).toEqual([['***'], 65_537]);
  });

  it('does not begin when one cannot be read; the end says which, why, and what to do', async () => {
    const here = instances({ env: services.environment });
    here.write('train.py', 'open("begun", "w")\n');
    services.stored.set('ssm:/team/wandb', { error: 'AccessDeniedException', message: 'trainer may not' });
    services.stored.delete('secretsmanager:hf');
    const run = here.giveLease(here.run());
    const status = await here.start(run, { train: { secrets: SECRETS } });
    expect(status).toMatchObject({ state: 'exited', pid: null, exit: { code: 127 } });
    const message = status.result?.error?.message;
    expect(status.result?.error?.name).toBe('SecretUnavailable');
    expect(message).toMatch(
      /^The secret secretsmanager:hf#token \(for HF_TOKEN\) cannot be read: NotFound: .* The secret ssm:\/team\/wandb \(for WANDB_API_KEY\) cannot be read: AccessDenied: AccessDeniedException: trainer may not\. Allow ssm:GetParameter on it for the instance's role trainer\.$/,
    );
    expect(status.tail).toEqual([`[runctl] ${message}`]);
    expect(readdirSync(here.project)).toEqual(['train.py']);
  });

  it('is answered for within the 15 s of a start when the metadata service hangs', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const here = instances({ env: { ...services.environment, AWS_EC2_METADATA_SERVICE_ENDPOINT: url } });
    here.write('train.py', '');
    const began = performance.now();
    const status = await here.start(here.giveLease(here.run()), { train: { secrets: SECRETS } });
    close(silent);
    expect(status.result?.error).toMatchObject({
      name: 'SecretUnavailable',
      message: expect.stringMatching(/MetadataUnavailable: .* no byte came for 2\.0 s\. Enable/),
    });
    expect(performance.now() - began).toBeLessThan(15_000);
  });

  it('does not decide where they come from, nor learn it', async () => {
    const evil: string[] = [];
    const server = createServer((request, response) => {
      evil.push(request.url ?? '');
      response.end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const here = instances({ env: services.environment });
    here.write(
      'train.py',
      `${SAYS_DIGESTS}print(sorted(name for name in os.environ if "ENDPOINT" in name), os.environ["AWS_ENDPOINT_URL"])\n`,
    );
    const env = { AWS_ENDPOINT_URL: url, AWS_EC2_METADATA_SERVICE_ENDPOINT: url };
    const run = here.giveLease(here.run());
    await here.start(run, { train: { secrets: SECRETS, env } });
    await here.ended(run, 'train');
    const plain = here.giveLease(here.run());
    here.write('train.py', 'import os\nprint([name for name in os.environ if "ENDPOINT" in name])\n');
    await here.start(plain, { train: { secrets: SECRETS } });
    await here.ended(plain, 'train');
    close(server);
    expect(here.logOf(run, 'train').toString()).toBe(
      `${DIGESTS}['AWS_EC2_METADATA_SERVICE_ENDPOINT', 'AWS_ENDPOINT_URL'] ${url}\n`,
    );
    expect(here.logOf(plain, 'train').toString()).toBe('[]\n');
    expect(evil).toEqual([]);
  });

  it('whose supervisor was killed shows no last lines: nobody knows the values any more', async () => {
    const here = instances({ env: services.environment });
    here.write('train.py', 'import os, time\nprint(os.environ["HF_TOKEN"], flush=True)\ntime.sleep(100)\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: { secrets: SECRETS } });
    const running = await here.until(run, 'train', ({ log }) => log.bytes > 0);
    const { supervisor } = here.marker(run, 'train', 'identity.json') as { supervisor: { pid: number } };
    killQuietly(supervisor.pid);
    killQuietly(running.pid ?? 0);
    const { state, tail } = await here.ended(run, 'train');
    expect(state).toBe('vanished');
    expect(tail).toEqual([expect.stringMatching(/^\[runctl\] the last lines are in the log only/)]);
  });

  it.each([
    ['a reserved name', { LD_PRELOAD: 'ssm:/a' }, {}],
    ['a name of env', { SEED: 'ssm:/a' }, { SEED: '1' }],
    ['what is no reference', { A: WANDB }, {}],
    ['no map', ['ssm:/a'] as unknown as Record<string, string>, {}],
    ['what is no text', { A: 7 as unknown as string }, {}],
    ['more than 20', Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`S${index}`, 'ssm:/a'])), {}],
  ])('is refused with %s', async (_title, secrets, env) => {
    const here = instances({ env: services.environment });
    const answer = await here.start(here.giveLease(here.run()), { train: { secrets, env } });
    expect(answer).toMatchObject({ ok: false, error: { name: 'BadRequest' } });
    expect(answer.error?.message).toMatch(/^train\.secrets has /);
    expect(leaks(JSON.stringify(answer))).toEqual([]);
  });
});

describe('an install with secrets', () => {
  const install = (requirements: string) => ({ install: { requirements, secrets: SECRETS } });

  it('has them, and they are in no file, log, progress or result', async () => {
    const here = instances({ env: services.environment });
    here.write(
      'requirements.txt',
      `--no-index\nnothing-of-this-name @ https://127.0.0.1:1/\${HF_TOKEN}/\${WANDB_API_KEY}.whl\n`,
    );
    const run = here.giveLease(here.run());
    const started = await here.start(run, install('requirements.txt'));
    const ended = await here.ended(run, 'install');
    expect(ended.result?.error?.name).toBe('InstallFailed');
    expect(logBytes(ended).toString()).toContain('***');
    expect(leaks(JSON.stringify([started, ended]) + logBytes(ended))).toEqual([]);
    expect(leakyFiles(here.base)).toEqual([]);
  });

  it('ends before anything is installed when one cannot be read', async () => {
    services.role = null;
    const here = instances({ env: services.environment });
    here.write('requirements.txt', 'x\n');
    const status = await here.start(here.giveLease(here.run()), install('requirements.txt'));
    expect(status).toMatchObject({ state: 'exited', result: { error: { name: 'SecretUnavailable' } } });
    expect(status.result?.error?.message).toMatch(/^The secrets secretsmanager:hf#token .*NoRole: .* no role\. Attach/);
  });
});

describe('what is collected of a run with secrets', () => {
  const script = `import os
os.makedirs("outputs")
open("outputs/run-" + os.environ["WANDB_API_KEY"], "w").close()
os.symlink("/etc/hostname", "outputs/link-" + os.environ["WANDB_API_KEY"])
`;
  async function trained(): Promise<{ box: ReturnType<typeof collectSetup>; run: TestRun }> {
    const box = collectSetup({ env: services.environment });
    box.here.write('train.py', script);
    const run = box.here.giveLease(box.here.run());
    await box.here.start(run, { train: { secrets: SECRETS } });
    await box.here.ended(run, 'train');
    return { box, run };
  }

  it('names no value: not in warnings, not in the list of files', async () => {
    const { box, run } = await trained();
    const collected = await box.collect(run);
    expect(collected.warnings).toEqual([expect.stringContaining('link-***')]);
    await box.upload(run, ['inventory.json']);
    expect(JSON.parse(box.store.text('inventory.json')).outputs).toMatchObject([{ path: 'outputs/run-***' }]);
  });

  it('needs no values when no job had them', async () => {
    services.role = null;
    const { box, run } = await trained();
    expect((await box.collect(run)).warnings).toEqual([]);
  });

  it('says so when the values cannot be read again', async () => {
    const { box, run } = await trained();
    services.role = null;
    const { warnings } = await box.collect(run);
    expect(warnings[0]).toMatch(/^Names of files were not searched for all secrets of the run\. The secrets .*NoRole/);
  });
});

describe('the probe', () => {
  async function probe(here: TestInstance, secrets: object) {
    const { run: _, project: __, ...request } = here.common('probe', here.run());
    const program = spawn('python3', ['-I', '-B', here.runner], {
      env: { PATH: AGENT_PATH, ...services.environment },
    });
    program.stdin.end(JSON.stringify({ ...request, python: null, secrets }));
    return JSON.parse(await text(program.stdout)) as Answer<ProbeAnswer>;
  }

  it('says of each reference whether it can be read, and shows no value', async () => {
    const here = instances({ env: services.environment });
    services.stored.set('ssm:/denied', { error: 'AccessDeniedException', message: 'no' });
    const answer = await probe(here, { ...SECRETS, OTHER: 'ssm:/denied' });
    expect(answer.secrets).toEqual({
      HF_TOKEN: null,
      WANDB_API_KEY: null,
      OTHER: {
        error: 'AccessDenied: AccessDeniedException: no.',
        next: "Allow ssm:GetParameter on it for the instance's role trainer.",
      },
    });
    expect(leaks(JSON.stringify(answer))).toEqual([]);
    expect((await probe(here, {})).secrets).toEqual({});
  });

  it('asks for nothing but references', async () => {
    const here = instances({ env: services.environment });
    const answer = await probe(here, { A: WANDB });
    expect(answer).toMatchObject({ ok: false, error: { name: 'BadRequest' } });
    expect(leaks(JSON.stringify(answer))).toEqual([]);
    expect(services.requests).toEqual([]);
  });
});

function close(server: Server): void {
  server.close();
  server.closeAllConnections();
}
