import { existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAlive, type TestInstance, type TestRun, useInstances, waitFor } from '../support/instance/test-instance.ts';

const instance = useInstances();

const POLITE = `
import signal, sys, time
def stop(number, frame):
    print("checkpoint written", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
while True: time.sleep(0.1)
`;
const DEAF = `
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(300)"])
child.wait()
`;

async function started(box: TestInstance, script: string, train: { maxDuration?: number; stopGrace?: number } = {}) {
  box.write('train.py', script);
  const run = box.giveLease(box.run());
  await box.start(run, { train });
  const { pid } = await box.until(run, 'train', () => box.logOf(run, 'train').includes('ready'));
  return { run, pid: pid as number };
}

describe('stop', () => {
  it('gives the training time to save, and is distinguished from a failure', async () => {
    const box = instance();
    const { run } = await started(box, POLITE);
    expect(await box.stop(run, 30)).toMatchObject({ ok: true, jobs: { train: 'running' } });
    const ended = await box.ended(run, 'train', 10);
    expect(ended).toMatchObject({ state: 'stopped', reason: 'stop', exit: { code: 0, signal: null } });
    expect(ended.tail?.at(-1)).toBe('checkpoint written');
  });

  it('kills, after the grace, what ignores TERM, with its whole group', async () => {
    const box = instance();
    const { run } = await started(box, DEAF);
    const before = performance.now();
    await box.stop(run, 1);
    const ended = await box.ended(run, 'train', 20);
    expect(performance.now() - before).toBeGreaterThan(900);
    expect(ended).toMatchObject({ state: 'stopped', reason: 'stop', exit: { signal: 'SIGKILL', outOfMemory: false } });
    expect(await waitFor(() => (box.processes().length === 0 ? 'none' : null))).toBe('none');
  });

  it('is idempotent, and cannot lengthen the grace', async () => {
    const box = instance();
    const { run } = await started(box, DEAF);
    await box.stop(run, 1);
    expect(await box.stop(run, 300)).toMatchObject({ ok: true, jobs: { train: 'running' } });
    const ended = await box.ended(run, 'train', 20);
    expect(ended).toMatchObject({ state: 'stopped', exit: { signal: 'SIGKILL' } });
    expect(await box.stop(run, 1)).toMatchObject({ ok: true, jobs: { train: 'stopped' } });
    expect((await box.poll(run, 'train')).exit).toEqual(ended.exit);
  });

  it('of a job that has ended changes nothing of how it ended', async () => {
    const box = instance();
    const { run } = await started(box, 'print("ready")\nraise SystemExit(4)\n');
    const ended = await box.ended(run, 'train');
    expect((await box.stop(run)).jobs).toEqual({ train: 'exited' });
    expect(await box.poll(run, 'train')).toMatchObject({ state: 'exited', reason: null, exit: ended.exit });
  });

  it('reaches a halted training too', async () => {
    const box = instance();
    const { run, pid } = await started(box, POLITE);
    process.kill(pid, 'SIGSTOP');
    await box.stop(run, 20);
    expect(await box.ended(run, 'train', 10)).toMatchObject({ state: 'stopped', exit: { code: 0 } });
  });

  it('reaches a training whose supervisor was halted', async () => {
    const box = instance();
    const { run } = await started(box, POLITE);
    process.kill(supervisorOf(box, run), 'SIGSTOP');
    await box.stop(run, 20);
    expect(await box.ended(run, 'train', 10)).toMatchObject({ state: 'stopped', exit: { code: 0 } });
  });

  it('happens when the folder of the run is deleted, since no request can reach the job any more', async () => {
    const box = instance();
    const { run } = await started(box, POLITE);
    rmSync(dirname(box.jobFolder(run, 'train')), { recursive: true });
    expect(await box.poll(run, 'train')).toMatchObject({ state: 'absent' });
    await waitFor(() => box.processes().length === 0 || null, 20);
  });

  it('works without a supervisor: an orphan stopper ends the group', async () => {
    const box = instance();
    const { run, pid } = await started(box, DEAF);
    process.kill(supervisorOf(box, run), 'SIGKILL');
    await waitFor(() => (isAlive(supervisorOf(box, run)) ? null : 'gone'));
    expect(await box.stop(run, 1)).toMatchObject({ ok: true, jobs: { train: 'running' } });
    expect(await box.ended(run, 'train', 20)).toMatchObject({ state: 'stopped', reason: 'stop', exit: { code: null } });
    expect(isAlive(pid)).toBe(false);
  });
});

describe('maxDuration', () => {
  it('is enforced by the supervisor, without any poll', async () => {
    const box = instance();
    box.write('train.py', POLITE);
    const run = box.giveLease(box.run());
    await box.start(run, { train: { maxDuration: 1 } });
    await waitFor(() => existsSync(join(box.jobFolder(run, 'train'), 'exit.json')) || null, 20);
    const ended = await box.poll(run, 'train');
    expect(ended).toMatchObject({ state: 'stopped', reason: 'max-duration', exit: { code: 0 } });
    const lasted = (ended.exit?.endedAt ?? 0) - (ended.startedAt ?? 0);
    expect(lasted).toBeGreaterThan(0.9);
    expect(lasted).toBeLessThan(10);
  });

  it('kills after stopGrace', async () => {
    const box = instance();
    const { run } = await started(box, DEAF, { maxDuration: 2, stopGrace: 1 });
    expect(await box.ended(run, 'train', 20)).toMatchObject({
      state: 'stopped',
      reason: 'max-duration',
      exit: { signal: 'SIGKILL', outOfMemory: false },
    });
  });
});

describe('release', () => {
  it('kills all processes, releases the lease, and closes the run; it is idempotent', async () => {
    const box = instance();
    const { run, pid } = await started(box, DEAF);
    const once = await box.release(run);
    expect(once).toMatchObject({ ok: true, released: true, jobs: { train: 'stopped' } });
    expect(isAlive(pid)).toBe(false);
    expect(readdirSync(join(box.root, 'lease')).sort()).toEqual(['lock', 'used.json']);
    expect(await box.release(run)).toEqual(once);
    expect(await box.start(box.giveLease(run), { install: {} })).toMatchObject({ state: 'refused', reason: 'closed' });
  });

  it('of a run that does not hold the lease leaves the lease alone', async () => {
    const box = instance();
    const holder = box.giveLease(box.run('holder'));
    expect(await box.release(box.run('other'))).toMatchObject({ ok: true, released: true, jobs: {} });
    box.write('train.py', 'print("ready")\n');
    expect((await box.start(holder, { train: {} })).state).not.toBe('refused');
  });
});

function supervisorOf(box: TestInstance, run: TestRun): number {
  return (box.marker(run, 'train', 'identity.json').supervisor as { pid: number }).pid;
}
