import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { AnswerTo, JobStatus } from '../../core/protocol/answers.ts';
import { type CollectSetup, useCollectSetup } from '../support/instance/collect-setup.ts';
import { killQuietly } from '../support/instance/processes.ts';
import { useRestoreSetup } from '../support/instance/restore-setup.ts';
import {
  type Answer,
  isAlive,
  type TestInstance,
  type TestRun,
  useInstances,
  waitFor,
} from '../support/instance/test-instance.ts';

const instance = useInstances();
const collectSetup = useCollectSetup();
const restoreSetup = useRestoreSetup();
const MORE = { attempt: 2 };

/** Trains once, to the end. */
async function trained(box: TestInstance, run: TestRun, script: string, attempt: number): Promise<Answer<JobStatus>> {
  box.write('train.py', script);
  await box.start(run, { train: {} }, { attempt });
  return box.ended(run, 'train', 60, { attempt });
}

describe('a job of a later attempt', () => {
  it('has a folder, a log and an end of its own, and is started once', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    await trained(box, run, 'import sys; print("first"); sys.exit(3)', 1);
    expect(await box.poll(run, 'train', MORE)).toMatchObject({ state: 'absent' });
    box.write('train.py', 'import os; print("second", os.environ["RUNCTL_ATTEMPT"])');
    const started = await Promise.all([1, 2, 3].map(() => box.start(run, { train: {} }, MORE)));
    expect(new Set(started.map(({ pid }) => pid)).size).toBe(1);
    expect(await box.ended(run, 'train', 60, MORE)).toMatchObject({ state: 'exited', exit: { code: 0 } });
    expect(await box.poll(run, 'train')).toMatchObject({ state: 'exited', exit: { code: 3 } });
    expect(box.logOf(run, 'train').toString()).toBe('first\n');
    expect(box.logOf(run, 'train-2').toString()).toBe('second 2\n');
    expect(await box.start(run, { train: {} }, MORE)).toMatchObject({ pid: started[0]?.pid, state: 'exited' });
    expect(await box.stop(run)).toMatchObject({ jobs: { train: 'exited' } });
  });

  it('is refused while a job of an earlier one runs; what ended jobs left is ended first', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    box.write('train.py', 'import time; print("begun", flush=True); time.sleep(300)');
    await box.start(run, { train: {} });
    const { pid } = await box.until(run, 'train', ({ log }) => log.bytes > 0);
    for (const work of [{ sync: {} }, { install: {} }, { train: {} }]) {
      expect(await box.start(run, work, { ...MORE, wait: 0 })).toMatchObject({
        state: 'refused',
        reason: 'attempt-open',
      });
    }
    expect(readdirSync(join(box.root, 'runs', run.key))).toEqual(['train']);
    // Its supervisor is killed: the process of the training alone still counts.
    const { supervisor } = box.marker(run, 'train', 'identity.json') as { supervisor: { pid: number } };
    killQuietly(supervisor.pid);
    await waitFor(() => !isAlive(supervisor.pid) || null);
    expect(await box.start(run, { train: {} }, MORE)).toMatchObject({ state: 'refused', reason: 'attempt-open' });
    killQuietly(pid as number);
    await waitFor(() => !isAlive(pid as number) || null);
    expect((await box.poll(run, 'train')).state).toBe('vanished');
    box.write('train.py', 'print("second")');
    expect(await box.start(run, { train: {} }, MORE)).toMatchObject({ ok: true, reason: null });
    expect(await box.ended(run, 'train', 60, MORE)).toMatchObject({ state: 'exited', exit: { code: 0 } });
  });

  it('makes a start of an earlier one, which was delivered late, be refused', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    await trained(box, run, 'print(1)', 2);
    expect(await box.start(run, { train: {} })).toMatchObject({ state: 'refused', reason: 'too-late' });
    expect(await box.start(run, { train: {} }, { attempt: 3, wait: 0 })).toMatchObject({ reason: null });
  });

  it('finds the lease held by its own run, and takes it on an instance where nobody holds it', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    expect((await box.start(run, { sync: {} }, MORE)).state).not.toBe('busy');
    const other = instance();
    const elsewhere = other.run();
    expect((await other.start(elsewhere, { sync: {} }, MORE)).state).not.toBe('busy');
    expect(readFileSync(join(other.root, 'lease', 'holder.json'), 'utf8')).toContain(elsewhere.key);
    expect(await other.start(other.run(), { sync: {} })).toMatchObject({ state: 'busy' });
    expect(await other.start(run, { train: {} }, MORE)).toMatchObject({ state: 'refused', reason: 'no-lease' });
  });

  it('is ended by stop and release as one of the first', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    await trained(box, run, 'print(1)', 1);
    box.write('train.py', 'import time; print("begun", flush=True); time.sleep(300)');
    await box.start(run, { train: {} }, MORE);
    const { pid } = await box.until(run, 'train', ({ log }) => log.bytes > 0, 60, MORE);
    expect(await box.stop(run, 60)).toMatchObject({ jobs: { train: 'running' } });
    expect(await box.release(run)).toMatchObject({ released: true, jobs: { train: 'stopped' } });
    expect(isAlive(pid as number)).toBe(false);
    expect(await box.start(run, { train: {} }, { attempt: 3 })).toMatchObject({ state: 'refused', reason: 'closed' });
  });

  it('is removed with its run', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    await trained(box, run, 'print(1)', 1);
    await trained(box, run, 'print(2)', 2);
    await box.release(run);
    const folder = join(box.root, 'runs', run.key);
    expect(existsSync(folder)).toBe(true);
    await box.send({ ...box.common('release', box.run('other')), keep: { days: 0 } });
    expect(existsSync(folder)).toBe(false);
  });
});

describe('the results of a run with attempts', () => {
  it('have the logs and samples of all, the metrics of all in one file, and the outputs since the first', async () => {
    const box = collectSetup();
    const { here, store } = box;
    const run = here.giveLease(here.run());
    const script = (n: number) => `import os, time
os.makedirs("outputs", exist_ok=True)
open("outputs/of-${n}", "w").write("${n}")
with open(os.environ["RUNCTL_METRICS_FILE"], "a") as file:
    file.write('{"loss": 0.${n}, "step": ${n}}\\n')
print("attempt ${n}")
time.sleep(1.5)
`;
    await trained(here, run, script(1), 1);
    await trained(here, run, script(2), 2);
    await trained(here, run, script(3), 3);
    const collected = await box.collect(run);
    expect(collected).toMatchObject({ state: 'collected', warnings: [], jobs: { train: 'exited' } });
    const names = (collected.files ?? []).map(({ name }) => name);
    expect([...names].sort()).toEqual([
      'inventory.json',
      'metric-points.jsonl.gz',
      'outputs.tar.gz',
      'train-2.log.gz',
      'train-2.times.gz',
      'train-3.log.gz',
      'train-3.times.gz',
      'train.log.gz',
      'train.times.gz',
      'usage.jsonl.gz',
    ]);
    expect(await box.upload(run, names)).toMatchObject({ state: 'uploaded', failed: {} });
    for (const { name, bytes } of collected.files ?? []) expect(store.stored.get(name)?.length, name).toBe(bytes);
    expect(store.text('train.log.gz')).toBe('attempt 1\n');
    expect(store.text('train-3.log.gz')).toBe('attempt 3\n');
    expect(store.text('train-2.times.gz')).toMatch(/^10 \d+\n$/);
    const outputs = JSON.parse(store.text('inventory.json')).outputs as { path: string }[];
    expect(outputs.map(({ path }) => path)).toEqual(['outputs/of-1', 'outputs/of-2', 'outputs/of-3']);
    const samples = store.text('usage.jsonl.gz').trimEnd().split('\n');
    const times = samples.map((line) => (JSON.parse(line) as { time: number }).time);
    expect(times.length).toBeGreaterThanOrEqual(3);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    const points = store.text('metric-points.jsonl.gz').trimEnd().split('\n');
    expect(points.map((line) => (JSON.parse(line) as { step: number }).step)).toEqual([1, 2, 3]);
  });

  it('of a hundred attempts fit an answer: the logs of the latest are sent', async () => {
    const box = collectSetup();
    const { here, store } = box;
    const run = here.giveLease(here.run());
    for (let n = 1; n <= 100; n += 1) fakeAttempt(here, run, n);
    const collected = await box.collect(run);
    expect(collected.state).toBe('collected');
    const names = (collected.files ?? []).map(({ name }) => name);
    const logs = (job: string) => names.filter((name) => name.startsWith(job) && name.endsWith('.log.gz'));
    expect(logs('train')).toHaveLength(100);
    expect(logs('sync')).toHaveLength(0);
    expect(names).toContain('train-100.times.gz');
    expect(names).not.toContain('train.times.gz');
    expect(names).toContain('inventory.json');
    expect(collected.warnings).toEqual([
      expect.stringMatching(/^\d+ logs and times of earlier attempts were not sent/),
    ]);
    const some = ['train.log.gz', 'train-100.log.gz', 'train-100.times.gz'];
    expect(await box.upload(run, some)).toMatchObject({ state: 'uploaded', failed: {} });
    expect(store.text('train-100.log.gz')).toBe('train of 100\n');
  });

  it('fetched by a person are those that the latest attempt has finished', async () => {
    const box = collectSetup();
    const { here, store } = box;
    const run = here.giveLease(here.run());
    await trained(here, run, 'import os; os.makedirs("outputs"); open("outputs/a", "w").write("1")', 1);
    const open = 'file = open("outputs/b", "w"); file.write("2"); file.flush()';
    here.write('train.py', `import time; ${open}; print(1, flush=True); time.sleep(300)`);
    await here.start(run, { train: {} }, MORE);
    await here.until(run, 'train', ({ log }) => log.bytes > 0, 60, MORE);
    const fetched = await waitFor(async () => {
      const what = { outputs: ['outputs/**'], maxBytes: 1e6, put: store.url('x') };
      const request = { ...here.common('fetch', run), ...what, id: `pull-${Date.now()}`, wait: 15 };
      const answer = await box.ask<AnswerTo<'fetch'>>(request);
      return answer.state === 'uploaded' ? answer : null;
    });
    expect(fetched).toMatchObject({ files: 1, failed: null });
    const archive = gunzipSync(store.stored.get('x') as Buffer).toString('latin1');
    expect([archive.includes('outputs/a'), archive.includes('outputs/b')]).toEqual([true, false]);
  });

  /** The folders of jobs that ended, as they are on the disk. */
  function fakeAttempt(here: CollectSetup['here'], run: TestRun, attempt: number): void {
    for (const job of ['sync', 'install', 'train']) {
      const folder = here.jobFolder(run, attempt === 1 ? job : `${job}-${attempt}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'log'), `${job} of ${attempt}\n`);
      writeFileSync(join(folder, 'log-times'), Buffer.from('000000000000000c0000019400000000', 'hex'));
      const end = { code: 1, signal: null, endedAt: 1, maxRssBytes: 1, outOfMemory: false, reason: null, result: null };
      writeFileSync(join(folder, 'exit.json'), JSON.stringify(end));
      const process = { pid: 1, startTime: 1 };
      const container = { kind: 'process-group', why: 'a test' };
      const identity = { ...process, bootId: 'another', supervisor: process, startedAt: 1, command: {}, container };
      writeFileSync(join(folder, 'identity.json'), JSON.stringify(identity));
      writeFileSync(join(folder, 'request.json'), JSON.stringify({ [job]: { python: null }, project: 'digits' }));
    }
  }
});

describe('a training that resumes', () => {
  const NAMES = ['RUNCTL_RESUME_FROM', 'RUNCTL_ATTEMPT'];
  const PRINT = `import os\nfor name in ${JSON.stringify(NAMES)}:\n    print(os.environ.get(name))\n`;

  it.each([
    ['a file', 'checkpoints/a.pt', 'checkpoints/a.pt'],
    ['a folder', 'outputs/checkpoint-7', 'outputs/checkpoint-7/x'],
    ["TensorFlow's prefix", 'checkpoints/model-7', 'checkpoints/model-7.index'],
    ['shards with an index', 'checkpoints/model.safetensors', 'checkpoints/model.safetensors.index.json'],
  ])('from %s has its absolute path in its environment', async (_, name, file) => {
    const box = instance();
    box.write(file, 'x');
    box.write('train.py', PRINT);
    const run = box.giveLease(box.run());
    await box.start(run, { train: { resumeFrom: name } }, MORE);
    await box.ended(run, 'train', 60, MORE);
    expect(box.logOf(run, 'train-2').toString()).toBe(`${join(box.project, name)}\n2\n`);
  });

  it('from nothing has no such variable', async () => {
    const box = instance();
    box.write('train.py', PRINT);
    const run = box.giveLease(box.run());
    await box.start(run, { train: { resumeFrom: null } });
    await box.ended(run, 'train');
    expect(box.logOf(run, 'train').toString()).toBe('None\n1\n');
  });

  it('from a checkpoint that is not there does not start', async () => {
    const box = instance();
    box.write('train.py', PRINT);
    const run = box.giveLease(box.run());
    await box.start(run, { train: { resumeFrom: 'checkpoints/a.pt' } });
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({ state: 'exited', exit: { code: 127 }, result: { error: { name: 'RestoreFailed' } } });
    expect(ended.result?.error?.message).toContain('checkpoints/a.pt');
  });
});

describe('the job restore', () => {
  const FILES = { 'checkpoints/a.pt': 'weights', 'checkpoints/b/c': 'more' };

  it('brings a checkpoint as the user, and leaves its URLs nowhere', async () => {
    const [box, s3] = [instance(), await restoreSetup()];
    const run = box.giveLease(box.run());
    const request = s3.restoreRequest(s3.checkpoint('checkpoints/a.pt', FILES));
    await box.start(run, { restore: request }, { ...MORE, wait: 0 });
    const ended = await box.ended(run, 'restore', 60, MORE);
    expect(ended).toMatchObject({
      state: 'exited',
      exit: { code: 0 },
      result: { restored: 'checkpoints/a.pt', files: 2, bytes: 11, kept: 0 },
    });
    expect(readFileSync(join(box.project, 'checkpoints/b/c'), 'utf8')).toBe('more');
    const folder = box.jobFolder(run, 'restore-2');
    for (const name of readdirSync(folder))
      expect(readFileSync(join(folder, name), 'latin1')).not.toContain('Signature');
    expect(await box.stop(run)).toMatchObject({ jobs: { restore: 'exited' } });
  });

  it('that failed is started again with new URLs, three times, and goes on in its log', async () => {
    const [box, s3] = [instance(), await restoreSetup()];
    const run = box.giveLease(box.run());
    const request = s3.restoreRequest(s3.checkpoint('checkpoints/a.pt', FILES));
    const start = (fields: object = {}) => box.start(run, { restore: request }, { wait: 10, ...fields });
    s3.meddle = (_key, _request, response) => {
      response.writeHead(403).end();
      return true;
    };
    expect(await start()).toMatchObject({ state: 'exited', result: { error: { name: 'RestoreFailed' } } });
    expect(s3.asked).toHaveLength(1);
    await start();
    expect(s3.asked).toHaveLength(1);
    for (const count of [1, 2]) {
      expect((await start({ again: true })).state).toBe('exited');
      expect(box.marker(run, 'restore', 'restarted.json')).toMatchObject({ count, interrupted: false });
    }
    s3.meddle = () => false;
    expect(await start({ again: true })).toMatchObject({ state: 'exited', exit: { code: 0 }, result: { files: 2 } });
    expect(box.logOf(run, 'restore').toString()).toContain('[runctl] the job failed; it is started again\n');
    expect(await start({ again: true })).toMatchObject({ exit: { code: 0 } });
    expect(box.marker(run, 'restore', 'restarted.json')).toMatchObject({ count: 3 });
  });

  it('that fails for ever is not started a fourth time again', async () => {
    const [box, s3] = [instance(), await restoreSetup()];
    const run = box.giveLease(box.run());
    const request = s3.restoreRequest({ version: 1, name: 'x', files: [] });
    for (let at = 0; at < 6; at += 1) await box.start(run, { restore: request }, { wait: 10, again: true });
    expect(s3.asked).toHaveLength(4);
  });

  it('that was killed is started again, and completes', async () => {
    const [box, s3] = [instance(), await restoreSetup()];
    const run = box.giveLease(box.run());
    const request = s3.restoreRequest(s3.checkpoint('checkpoints/a.pt', FILES));
    s3.meddle = (key) => key.startsWith('list-'); // hangs
    await box.start(run, { restore: request }, { wait: 0 });
    const { pid } = await waitFor(async () => {
      const status = await box.poll(run, 'restore');
      return s3.asked.length > 0 ? status : null;
    });
    const { supervisor } = box.marker(run, 'restore', 'identity.json') as { supervisor: { pid: number } };
    killQuietly(supervisor.pid);
    killQuietly(pid as number);
    await box.until(run, 'restore', ({ state }) => state === 'vanished');
    s3.meddle = () => false;
    await box.start(run, { restore: request }, { wait: 0, again: true });
    expect(await box.ended(run, 'restore')).toMatchObject({ exit: { code: 0 }, result: { files: 2 } });
  });
});
