import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { JobStatus, KeeperReport } from '../../core/protocol/answers.ts';
import { usePostStore } from '../support/instance/post-store.ts';
import { killQuietly } from '../support/instance/processes.ts';
import { useRestoreSetup } from '../support/instance/restore-setup.ts';
import {
  type Answer,
  isAlive,
  RUNNER_FOLDER,
  type TestInstance,
  type TestRun,
  useInstances,
  waitFor,
} from '../support/instance/test-instance.ts';

const TORCH = fileURLToPath(new URL('../fixtures/checkpoints/torch.pt', import.meta.url));
const FILES = readFileSync(join(RUNNER_FOLDER, 'common', 'keeper_files.py'), 'utf8');
const SHORT = { modules: { 'common/keeper_files.py': FILES.replace('DRAIN_S = 60.0', 'DRAIN_S = 3.0') } };
const REBOOT = '00000000-0000-0000-0000-000000000000';
const SAVE = `import os, shutil, signal, sys, time
def save(name):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    shutil.copy(${JSON.stringify(TORCH)}, name + ".tmp")
    os.utime(name + ".tmp")
    os.rename(name + ".tmp", name)
    print("saved", name, flush=True)
`;
const instance = useInstances();
const store = usePostStore();
const restoreSetup = useRestoreSetup();

/** Starts a training that has saved. */
async function started(box: TestInstance, run: TestRun, script: string, attempt = 1, firstSeq = 1): Promise<void> {
  box.write('train.py', SAVE + script);
  const checkpoints = { folder: null, every: 0, firstSeq };
  await box.start(run, { train: { maxDuration: 600, checkpoints } }, { attempt });
  await box.until(run, 'train', ({ log }) => log.bytes > 0, 60, { attempt });
}

/** Ends a training and its supervisor without a record of it. */
async function vanish(box: TestInstance, run: TestRun, how: 'a kill' | 'a reboot'): Promise<void> {
  const identity = box.marker(run, 'train', 'identity.json') as { pid: number; supervisor: { pid: number } };
  for (const pid of [identity.supervisor.pid, identity.pid]) {
    killQuietly(pid);
    await waitFor(() => !isAlive(pid) || null);
  }
  const rebooted = JSON.stringify({ ...identity, bootId: REBOOT });
  if (how === 'a reboot') writeFileSync(join(box.jobFolder(run, 'train'), 'identity.json'), rebooted);
  expect((await box.poll(run, 'train')).state).toBe('vanished');
}

function untilReport(
  box: TestInstance,
  run: TestRun,
  met: (report: KeeperReport, status: Answer<JobStatus>) => boolean,
  attempt = 1,
): Promise<KeeperReport> {
  return waitFor(async () => {
    const status = await box.poll(run, 'train', { attempt, checkpoints: store().grant() });
    return status.checkpoints && met(status.checkpoints, status) ? status.checkpoints : null;
  }, 60);
}

const names = (report: KeeperReport) => report.units.map(({ name }) => name);

describe('a training that has vanished', () => {
  it.each(['a kill', 'a reboot'] as const)('by %s has its last complete checkpoint sent', async (how) => {
    const box = instance();
    const run = box.giveLease(box.run());
    await started(box, run, 'save("checkpoints/epoch-1.pt")\ntime.sleep(300)');
    await vanish(box, run, how);
    expect(names(await untilReport(box, run, ({ state }) => state === 'done'))).toEqual(['checkpoints/epoch-1.pt']);
    await waitFor(() => box.processes().length === 0 || null);
  });

  it('is done after the drain time when S3 takes nothing, and no other keeper is started', async () => {
    const box = instance(SHORT);
    const run = box.giveLease(box.run());
    await started(box, run, 'save("checkpoints/epoch-1.pt")\ntime.sleep(300)');
    await vanish(box, run, 'a kill');
    store().hold = () => new Promise(() => undefined);
    const report = await untilReport(box, run, ({ state }) => state === 'done');
    expect(report).toMatchObject({ units: [], warnings: [expect.stringContaining('was not sent')] });
    await waitFor(() => box.processes().length === 0 || null);
    expect((await untilReport(box, run, () => true)).state).toBe('done');
    expect(box.marker(run, 'train', 'keeper/starts.json')).toEqual({ count: 1 });
  });
});

describe('a keeper that dies again and again after its training has vanished', () => {
  it('is not started again after the drain time', async () => {
    const box = instance(SHORT);
    const run = box.giveLease(box.run());
    await started(box, run, 'save("checkpoints/epoch-1.pt")\ntime.sleep(300)');
    await vanish(box, run, 'a kill');
    store().hold = () => new Promise(() => undefined);
    await untilReport(box, run, ({ state }) => {
      for (const pid of box.processes()) killQuietly(pid);
      return state === 'done';
    });
    expect(box.marker(run, 'train', 'keeper/starts.json').count).toBeLessThan(50);
  });
});

describe('a stop', () => {
  it('lets the keeper send the last checkpoint, and a release ends it', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    const leave =
      'def leave(*_):\n    save("checkpoints/last.pt")\n    sys.exit(0)\nsignal.signal(signal.SIGTERM, leave)\n';
    await started(box, run, `${leave}print("begun", flush=True)\ntime.sleep(300)`);
    await untilReport(box, run, ({ state }) => state === 'watching');
    await box.stop(run, 30);
    const report = await untilReport(box, run, ({ state }) => state === 'done');
    expect(names(report)).toEqual(['checkpoints/last.pt']);
  });

  it('of a run that gives the instance back ends the keeper in the middle of its work', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    store().hold = () => new Promise(() => undefined);
    await started(box, run, 'save("checkpoints/last.pt")');
    await box.ended(run, 'train');
    await untilReport(box, run, ({ uploading }) => uploading !== null);
    await box.stop(run);
    expect((await untilReport(box, run, () => true)).state).toBe('draining');
    await box.release(run);
    await waitFor(() => box.processes().length === 0 || null, 20);
  });
});

describe('the keeper of a later attempt', () => {
  it('sends what its training saves, and nothing that was there: sent, not sent, or restored', async () => {
    const [box, s3] = [instance(), await restoreSetup()];
    const run = box.giveLease(box.run());
    await started(box, run, 'save("checkpoints/epoch-1.pt")');
    await box.ended(run, 'train');
    expect(names(await untilReport(box, run, ({ state }) => state === 'done'))).toEqual(['checkpoints/epoch-1.pt']);
    box.write('checkpoints/never-sent.pt', readFileSync(TORCH));
    const restore = s3.restoreRequest(
      s3.checkpoint('checkpoints/restored.pt', { 'checkpoints/restored.pt': readFileSync(TORCH) }, 1e6),
    );
    await box.start(run, { restore }, { attempt: 2, wait: 10 });
    expect(await box.ended(run, 'restore', 60, { attempt: 2 })).toMatchObject({ exit: { code: 0 } });
    await started(box, run, 'save("checkpoints/epoch-4.pt")', 2, 40);
    await box.ended(run, 'train', 60, { attempt: 2 });
    const report = await untilReport(box, run, ({ state }) => state === 'done', 2);
    expect(report.units.map(({ name, seq }) => [name, seq])).toEqual([['checkpoints/epoch-4.pt', 40]]);
    expect(
      store()
        .keys()
        .filter((key) => key.endsWith('files.json')),
    ).toEqual(['1/files.json', '40/files.json']);
    expect(box.marker(run, 'train-2', 'keeper/state.json')).toMatchObject({ next: 41 });
  });

  it('is alone: the start of its attempt ends the earlier one, which is not started again', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    store().hold = () => new Promise(() => undefined);
    await started(box, run, 'save("checkpoints/epoch-1.pt")');
    await box.ended(run, 'train');
    await untilReport(box, run, ({ uploading }) => uploading !== null);
    const { pid } = box.marker(run, 'train', 'keeper/identity.json') as { pid: number };
    process.kill(pid, 'SIGSTOP'); // it would not end by itself
    await started(box, run, 'time.sleep(0.1)\nprint(1)', 2, 2);
    expect(isAlive(pid)).toBe(false);
    await box.ended(run, 'train', 60, { attempt: 2 });
    await waitFor(() => box.processes().length === 0 || null, 20);
    expect((await untilReport(box, run, () => true)).state).toBe('done');
    expect(box.processes()).toEqual([]);
    store().hold = async () => undefined;
    expect(await untilReport(box, run, ({ state }) => state === 'done', 2)).toMatchObject({ units: [] });
  });
});
