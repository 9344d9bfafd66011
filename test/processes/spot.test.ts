import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { JobStatus, KeeperReport } from '../../core/protocol/answers.ts';
import { useMetadataService } from '../support/instance/metadata-service.ts';
import { usePostStore } from '../support/instance/post-store.ts';
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
const instance = useInstances();
const service = useMetadataService();
const store = usePostStore();
const SPOT = readFileSync(join(RUNNER_FOLDER, 'checkpoints', 'spot.py'), 'utf8');
/** Asks more often than on an instance. */
const OFTEN = { 'checkpoints/spot.py': SPOT.replace('_INTERVAL_S = 5.0', '_INTERVAL_S = 0.2') };
const ENDS_ON_TERM = `import os, shutil, signal, sys, time
def leave(*_):
    os.makedirs("checkpoints", exist_ok=True)
    shutil.copy(${JSON.stringify(TORCH)}, "checkpoints/last.tmp")
    os.rename("checkpoints/last.tmp", "checkpoints/last.pt")
    print("saved", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("begun", flush=True)
time.sleep(300)
`;
const IGNORES_TERM = `import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begun", flush=True)
time.sleep(300)
`;

const box = (modules: Record<string, string> = OFTEN) => instance({ env: service().environment, modules });

async function started(here: TestInstance, script: string, stopGrace = 60): Promise<TestRun> {
  here.write('train.py', script);
  const run = here.giveLease(here.run());
  await here.start(run, { train: { stopGrace, checkpoints: { folder: null, every: 0, firstSeq: 1 } } });
  await here.until(run, 'train', ({ log }) => log.bytes > 0);
  return run;
}

function untilReport(
  here: TestInstance,
  run: TestRun,
  met: (report: KeeperReport, status: Answer<JobStatus>) => boolean,
): Promise<Answer<JobStatus> & { checkpoints: KeeperReport }> {
  return waitFor(async () => {
    const status = await here.poll(run, 'train', { checkpoints: store().grant() });
    return status.checkpoints && met(status.checkpoints, status)
      ? { ...status, checkpoints: status.checkpoints }
      : null;
  }, 60);
}

describe('a notice of EC2', () => {
  it.each(['terminate', 'stop', 'hibernate'])(
    '(%s) ends the training, whose last checkpoint is sent',
    async (action) => {
      const here = box();
      const run = await started(here, ENDS_ON_TERM);
      await untilReport(here, run, () => service().requests.length > 3);
      const time = service().interrupt(action);
      const ended = await untilReport(here, run, ({ state }) => state === 'done');
      expect(ended).toMatchObject({ state: 'stopped', reason: 'interrupted', exit: { code: 0 } });
      expect(ended.checkpoints.notice).toEqual({ action, time });
      expect(ended.checkpoints.units.map(({ name }) => name)).toEqual(['checkpoints/last.pt']);
      expect(here.marker(run, 'train', 'spot.json')).toEqual({ action, time, seenAt: expect.any(Number) });
      expect(here.logOf(run, 'train').toString()).toBe(
        'begun\nsaved\n[runctl] EC2 takes this instance away: the job was ended\n',
      );
    },
  );

  it('has the training killed ten seconds before its time, however long its grace is', async () => {
    const here = box();
    const run = await started(here, IGNORES_TERM, 3_000);
    await untilReport(here, run, () => true);
    const time = service().interrupt('terminate', 18);
    const ended = await untilReport(here, run, (_, { state }) => state !== 'running');
    expect(ended).toMatchObject({ state: 'stopped', reason: 'interrupted', exit: { signal: 'SIGKILL' } });
    expect(ended.exit?.endedAt).toBeGreaterThan(time - 13);
  });

  it('of a time that is over leaves the training a few seconds: the clock may be wrong', async () => {
    const here = box();
    const run = await started(here, ENDS_ON_TERM);
    await untilReport(here, run, () => true);
    service().interrupt('terminate', -1_000);
    const ended = await untilReport(here, run, ({ state }) => state === 'done');
    expect(ended).toMatchObject({ reason: 'interrupted', exit: { code: 0, signal: null } });
    expect(ended.checkpoints.units).toHaveLength(1);
  });

  it('does not change what a stop has decided', async () => {
    const here = box();
    const run = await started(here, IGNORES_TERM, 3_000);
    await untilReport(here, run, () => true);
    await here.stop(run, 3_000);
    service().interrupt('terminate', 12);
    const ended = await untilReport(here, run, (_, { state }) => state !== 'running');
    expect(ended).toMatchObject({ state: 'stopped', reason: 'stop', exit: { signal: 'SIGKILL' } });
  });

  it.each([
    'no JSON',
    { action: 'dance', time: '2026-01-01T00:00:00Z' },
    { action: 'stop' },
    { action: 'stop', time: 7 },
  ])('that is none (%j) is ignored', async (notice) => {
    const here = box();
    service().notice = notice;
    const run = await started(here, ENDS_ON_TERM);
    await untilReport(here, run, () => service().requests.length > 8);
    const { state, checkpoints } = await untilReport(here, run, () => true);
    expect([state, checkpoints.notice]).toEqual(['running', null]);
  });
});

describe('a recommendation to move', () => {
  it('is a warning, said once, and ends nothing', async () => {
    const here = box();
    service().rebalance = { noticeTime: '2026-01-01T00:00:00Z' };
    const run = await started(here, ENDS_ON_TERM);
    const { checkpoints } = await untilReport(here, run, ({ warnings }) => warnings.length > 0);
    expect(checkpoints.warnings).toEqual([expect.stringMatching(/^EC2 recommends to move to another instance/)]);
    expect(checkpoints.notice).toBeNull();
    const asked = service().requests.length;
    const later = await untilReport(here, run, () => service().requests.length > asked + 3);
    expect([later.state, later.checkpoints.warnings.length]).toEqual(['running', 1]);
  });
});

describe('the metadata service', () => {
  it('that forgets its tokens is asked for another one', async () => {
    const here = box();
    const run = await started(here, ENDS_ON_TERM);
    await untilReport(here, run, () => service().requests.length > 3);
    service().restart();
    service().interrupt('terminate');
    const ended = await untilReport(here, run, ({ state }) => state === 'done');
    expect(ended.reason).toBe('interrupted');
    expect(service().requests.filter(({ path }) => path === 'api/token')).toHaveLength(2);
  });

  it('that does not answer is asked three times, and then seldom; nothing is said about it', async () => {
    const modules = {
      'checkpoints/spot.py': OFTEN['checkpoints/spot.py'].replace(
        '_LONG_INTERVAL_S, _MAX_FAILURES = 60.0',
        '_LONG_INTERVAL_S, _MAX_FAILURES = 3.0',
      ),
    };
    const here = box(modules);
    service().isDown = true;
    const run = await started(here, ENDS_ON_TERM);
    const { checkpoints } = await untilReport(here, run, () => service().requests.length >= 4);
    expect(checkpoints).toMatchObject({ warnings: [], notice: null });
    const [, , third, fourth] = service().requests;
    expect((fourth?.at ?? 0) - (third?.at ?? 0)).toBeGreaterThan(2_500);
    const errors = join(here.jobFolder(run, 'train'), 'keeper', 'supervisor.err');
    expect(existsSync(errors) ? readFileSync(errors, 'utf8') : '').toBe('');
  });

  it('is not asked when there is no keeper, nor after the end', async () => {
    const here = box();
    here.write('train.py', 'import time; print(1, flush=True); time.sleep(300)');
    const run = here.giveLease(here.run());
    await here.start(run, { train: { checkpoints: null } });
    await here.until(run, 'train', ({ log }) => log.bytes > 0);
    await here.poll(run, 'train', { checkpoints: store().grant() });
    expect(service().requests).toEqual([]);
    await here.release(run);
    const other = await started(here, ENDS_ON_TERM);
    await untilReport(here, other, () => service().requests.length > 0);
    await here.release(other);
    await waitFor(() => here.processes().every((pid) => !isAlive(pid)) || null, 20);
  });
});
