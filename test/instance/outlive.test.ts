import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CollectAnswer, UploadAnswer } from '../../core/job-protocol.ts';
import { buildFinisher } from '../../lib/runner-bundle.ts';
import { type Answer, type Fields, PROJECT, type TestInstance, type TestRun, useInstances } from './harness.ts';

const instance = useInstances();
const finisher = buildFinisher();

let server: Server;
let url: string;
let stored: Map<string, Buffer>;
let refuse: boolean;
beforeEach(async () => {
  stored = new Map();
  refuse = false;
  server = createServer((request, response) => {
    void buffer(request).then((body) => {
      if (!refuse) stored.set(request.url?.split('?')[0] ?? '', body);
      response.writeHead(refuse ? 403 : 200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => new Promise<void>((resolve) => void server.close(() => resolve())));

function prepared(): TestInstance {
  const here = instance();
  writeFileSync(join(dirname(here.runner), finisher.sha256), finisher.bytes);
  return here;
}

async function ask<T>(here: TestInstance, request: Fields): Promise<Answer<T>> {
  return (await here.send<T>(request)).answer;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const collect = (here: TestInstance, run: TestRun, fields: object = {}) =>
  ask<CollectAnswer>(here, {
    ...here.common('collect', run),
    program: finisher.sha256,
    grace: 5,
    wait: 15,
    outputs: ['outputs/**'],
    maxBytes: 1_000_000,
    ...fields,
  });
const upload = (here: TestInstance, run: TestRun, names: readonly string[]) =>
  ask<UploadAnswer>(here, {
    ...here.common('upload', run),
    program: finisher.sha256,
    wait: 15,
    puts: Object.fromEntries(names.map((name) => [name, `${url}/${name}?X-Amz-Signature=secret`])),
  });

describe('collect and upload', () => {
  it('keep outputs and whole logs, also of a training that lives: TERM first; twice is the same as once', async () => {
    const here = prepared();
    here.write(
      'train.py',
      `import os, signal, sys, time
def leave(*_):
    os.makedirs("outputs", exist_ok=True)
    open("outputs/checkpoint", "w").write("42")
    print("left", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("begun", flush=True)
time.sleep(100)
`,
    );
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    await here.until(run, 'train', (status) => status.log.bytes > 0);
    const collected = await collect(here, run);
    expect(collected).toMatchObject({ ok: true, state: 'collected', warnings: [], jobs: { train: 'stopped' } });
    const names = (collected.files ?? []).map(({ name }) => name);
    expect(names).toEqual(['train.log.gz', 'outputs.tar.gz', 'inventory.json']);
    expect(await collect(here, run)).toEqual(collected);
    expect(await upload(here, run, names)).toMatchObject({ state: 'uploaded', failed: {} });
    for (const { name, bytes, sha256: digest } of collected.files ?? []) {
      const body = stored.get(`/${name}`) ?? Buffer.alloc(0);
      expect([body.length, sha256(body)], name).toEqual([bytes, digest]);
    }
    expect(gunzipSync(stored.get('/train.log.gz') ?? '').toString()).toBe('begun\nleft\n');
    const inventory = JSON.parse(String(stored.get('/inventory.json')));
    expect(inventory.outputs).toEqual([{ path: 'outputs/checkpoint', bytes: 2, sha256: sha256(Buffer.from('42')) }]);
    expect(inventory.python.version).toMatch(/^3\./);
    stored.clear();
    expect(await upload(here, run, names)).toMatchObject({ state: 'uploaded', failed: {} });
    expect(stored.size).toBe(0);
    expect(await here.start(run, { train: {} }, { job: 'train' })).toMatchObject({ state: 'stopped' });
  });

  it('leave out, with a warning, what is too big, leads out of the project, or is no file; nothing is no error', async () => {
    const here = prepared();
    here.write('train.py', 'print(1)\n');
    const project = join(here.home, PROJECT);
    mkdirSync(join(project, 'outputs/deep'), { recursive: true });
    writeFileSync(join(project, 'outputs/deep/kept'), 'kept');
    writeFileSync(join(project, 'outputs/big'), Buffer.alloc(2_000_000));
    symlinkSync('/etc/hostname', join(project, 'outputs/out'));
    symlinkSync('deep/kept', join(project, 'outputs/in'));
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    await here.ended(run, 'train');
    const collected = await collect(here, run);
    expect(collected.warnings).toEqual([
      expect.stringContaining('outputs/big was left out'),
      expect.stringContaining('outputs/out is a link out of the project'),
    ]);
    const next = here.giveLease(here.run());
    await here.start(next, { train: {} });
    await here.ended(next, 'train');
    const nothing = await collect(here, next, { outputs: ['nowhere/*.pt'] });
    expect(nothing).toMatchObject({ state: 'collected', warnings: [] });
    expect(nothing.files?.map(({ name }) => name)).toEqual(['train.log.gz', 'inventory.json']);
  });

  it('name what could not be sent, never with its URL, and send nothing that was not collected', async () => {
    const here = prepared();
    here.write('train.py', 'print(1)\n');
    const run = here.giveLease(here.run());
    expect(await upload(here, run, ['train.log.gz'])).toMatchObject({ state: 'absent' });
    await here.start(run, { train: {} });
    await here.ended(run, 'train');
    await collect(here, run);
    refuse = true;
    const answer = await upload(here, run, ['train.log.gz', 'inventory.json']);
    expect(answer.state).toBe('uploaded');
    expect(answer.failed).toEqual({ 'train.log.gz': 'S3 answered 403', 'inventory.json': 'S3 answered 403' });
    const finish = join(here.root, 'runs', run.key, 'finish');
    for (const name of ['uploaded.json', 'collected.json']) {
      expect(readFileSync(join(finish, name), 'utf8')).not.toContain('secret');
    }
  });
});

describe('a poll with a URL', () => {
  it('PUTs what does not fit the answer; one that is refused answers with what fits', async () => {
    const here = prepared();
    here.write('train.py', 'import os, sys\nsys.stdout.buffer.write(os.urandom(300000))\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    const { log } = await here.ended(run, 'train');
    expect(log.bytes).toBeLessThan(50_000);
    const poll = () =>
      ask<{ log: { bytes: number; put: string | null; data: string } }>(here, {
        ...here.common('poll', run),
        job: 'train',
        offset: 0,
        maxBytes: 24_000_000,
        put: `${url}/piece?X-Amz-Signature=secret`,
      });
    const sent = await poll();
    const piece = stored.get('/piece') ?? Buffer.alloc(0);
    expect(sent.log).toMatchObject({ bytes: 300_000, put: sha256(piece), data: '' });
    expect(gunzipSync(piece).equals(readFileSync(join(here.jobFolder(run, 'train'), 'log')))).toBe(true);
    refuse = true;
    expect((await poll()).log).toMatchObject({ bytes: log.bytes, put: null });
  });
});

describe('the queue', () => {
  const SYNC = {
    url: 'http://127.0.0.1:1/x',
    sha256: 'a'.repeat(64),
    bytes: 1,
    script: 'train.py',
    requirements: null,
  };
  const start = (here: TestInstance, run: TestRun, fields: object = {}) =>
    here.start(run, { sync: { ...SYNC, strip: null, versionId: null } }, { wait: 0, queue: { ttl: 600 }, ...fields });

  it('gives the instance to the oldest ticket, and to nobody before it', async () => {
    const here = prepared();
    const holder = here.giveLease(here.run());
    const [first, second, third] = [here.run(), here.run(), here.run()];
    for (const [index, run] of [first, second, third].entries()) {
      expect((await start(here, run)).queue).toMatchObject({ place: index + 1, length: index + 1 });
    }
    expect((await here.release(holder)).released).toBe(true);
    expect(await start(here, second)).toMatchObject({ state: 'busy', holder: null, queue: { place: 2 } });
    expect(await start(here, here.run(), { queue: null })).toMatchObject({ state: 'busy', queue: null });
    // The first one's execution has ended: its place is the second's.
    expect((await start(here, second, { ended: [first.arn] })).state).not.toBe('busy');
    expect(await start(here, third)).toMatchObject({ state: 'busy', holder: { run: second.id }, queue: { place: 1 } });
    await here.release(second);
    expect((await start(here, third)).state).not.toBe('busy');
  });

  it('forgets who does not ask again in time, and who was stopped', async () => {
    const here = prepared();
    const holder = here.giveLease(here.run());
    const [gone, stopped, last] = [here.run(), here.run(), here.run()];
    await start(here, gone, { queue: { ttl: 0 } });
    await start(here, stopped);
    await start(here, last);
    await here.stop(stopped);
    expect((await start(here, last)).queue).toMatchObject({ place: 1, length: 1 });
    await here.release(holder);
    expect(await start(here, stopped)).toMatchObject({ state: 'refused', reason: 'closed' });
    expect((await start(here, last)).state).not.toBe('busy');
  });

  it('of thirty that ask at once never lets two have it', async () => {
    const here = prepared();
    const runs = Array.from({ length: 30 }, () => here.run());
    const states = await Promise.all(runs.map(async (run) => (await start(here, run)).state));
    expect(states.filter((state) => state !== 'busy').length).toBe(1);
    expect(states.filter((state) => state === 'busy').length).toBe(29);
  });
});
