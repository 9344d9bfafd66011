import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { sha256, useCollectSetup } from '../support/instance/collect-setup.ts';
import { PROJECT } from '../support/instance/test-instance.ts';

const collectSetup = useCollectSetup();
/** Of a training that lasts a second or more. */
const USAGE = 'usage.jsonl.gz';

describe('collect and upload', () => {
  it('keep outputs and whole logs, also of a running training, which gets TERM first; collecting is idempotent', async () => {
    const box = collectSetup();
    const { here, store } = box;
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
    const collected = await box.collect(run);
    expect(collected).toMatchObject({ ok: true, state: 'collected', warnings: [], jobs: { train: 'stopped' } });
    const names = (collected.files ?? []).map(({ name }) => name).filter((name) => name !== USAGE);
    expect(names).toEqual(['train.log.gz', 'train.times.gz', 'outputs.tar.gz', 'inventory.json']);
    expect(await box.collect(run)).toEqual(collected);
    expect(await box.upload(run, names)).toMatchObject({ state: 'uploaded', failed: {} });
    for (const { name, bytes, sha256: digest } of collected.files ?? []) {
      const body = store.stored.get(name) ?? Buffer.alloc(0);
      expect([body.length, sha256(body)], name).toEqual([bytes, digest]);
    }
    expect(store.text('train.log.gz')).toBe('begun\nleft\n');
    const inventory = JSON.parse(store.text('inventory.json'));
    expect(inventory.outputs).toEqual([{ path: 'outputs/checkpoint', bytes: 2, sha256: sha256(Buffer.from('42')) }]);
    expect(inventory.python.version).toMatch(/^3\./);
    store.stored.clear();
    expect(await box.upload(run, names)).toMatchObject({ state: 'uploaded', failed: {} });
    expect(store.stored.size).toBe(0);
    expect(await here.start(run, { train: {} }, { job: 'train' })).toMatchObject({ state: 'stopped' });
  });

  it('send the rest when a later request brings its URLs; what was sent is not sent again', async () => {
    const box = collectSetup();
    const { store } = box;
    const run = await box.trained('print(1)\n');
    const names = ((await box.collect(run)).files ?? []).map(({ name }) => name).filter((name) => name !== USAGE);
    expect(names).toEqual(['train.log.gz', 'train.times.gz', 'inventory.json']);
    for (const name of names) {
      expect(await box.upload(run, [name])).toMatchObject({ state: 'uploaded', failed: {} });
      expect(store.tried.at(-1)).toBe(name);
    }
    expect(await box.upload(run, names)).toMatchObject({ state: 'uploaded', failed: {} });
    expect(store.tried).toEqual(names);
  });

  it('leave out, with a warning, what is too big, is outside the project, or is not a file; no outputs are not an error', async () => {
    const box = collectSetup();
    const { here } = box;
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
    const collected = await box.collect(run, { outputsFrom: 'all' });
    expect([...collected.warnings].sort()).toEqual([
      '1 file of 2000000 bytes was left out, because the archive would exceed 1000000 bytes: outputs/big',
      expect.stringContaining('outputs/out is a link to a place outside the project'),
    ]);
    const next = here.giveLease(here.run());
    await here.start(next, { train: {} });
    await here.ended(next, 'train');
    const nothing = await box.collect(next, { outputs: ['nowhere/*.pt'] });
    expect(nothing).toMatchObject({
      state: 'collected',
      warnings: ['no file that the run created or changed matches the pattern nowhere/*.pt of outputs'],
    });
    expect(nothing.files?.map(({ name }) => name).filter((name) => name !== USAGE)).toEqual([
      'train.log.gz',
      'train.times.gz',
      'inventory.json',
    ]);
  });

  it('name what could not be sent, never with its URL, and send nothing that was not collected', async () => {
    const box = collectSetup();
    const { here, store } = box;
    here.write('train.py', 'print(1)\n');
    const run = here.giveLease(here.run());
    expect(await box.upload(run, ['train.log.gz'])).toMatchObject({ state: 'absent' });
    await here.start(run, { train: {} });
    await here.ended(run, 'train');
    await box.collect(run);
    store.refuses = () => true;
    const answer = await box.upload(run, ['train.log.gz', 'inventory.json']);
    expect(answer.state).toBe('uploaded');
    expect(answer.failed).toEqual({ 'train.log.gz': 'S3 answered 403', 'inventory.json': 'S3 answered 403' });
    for (const name of ['uploaded.json', 'collected.json']) {
      expect(readFileSync(box.path(run, name), 'utf8')).not.toContain('secret');
    }
  });
});

describe('a poll with a URL', () => {
  it('PUTs what does not fit the answer; one that is refused answers with what fits', async () => {
    const box = collectSetup();
    const { here, store } = box;
    here.write('train.py', 'import os, sys\nsys.stdout.buffer.write(os.urandom(300000))\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    const { log } = await here.ended(run, 'train');
    expect(log.bytes).toBeLessThan(50_000);
    const poll = () =>
      box.ask<{ log: { bytes: number; put: string | null; data: string } }>({
        ...here.common('poll', run),
        job: 'train',
        offset: 0,
        maxBytes: 24_000_000,
        put: store.url('piece'),
      });
    const sent = await poll();
    const piece = store.stored.get('piece') ?? Buffer.alloc(0);
    expect(sent.log).toMatchObject({ bytes: 300_000, put: sha256(piece), data: '' });
    expect(gunzipSync(piece).equals(readFileSync(join(here.jobFolder(run, 'train'), 'log')))).toBe(true);
    store.refuses = () => true;
    expect((await poll()).log).toMatchObject({ bytes: log.bytes, put: null });
  });
});
