import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { killQuietly } from '../support/instance/processes.ts';
import { type TestInstance, type TestRun, useInstances, waitFor } from '../support/instance/test-instance.ts';

/** Installs for ever, until its home has the file `go`. */
const INSTALL = `import os, signal, sys, time
def main():
    print("attempt", end="", flush=True)
    while not os.path.exists(os.path.expanduser("~/go")):
        time.sleep(0.02)
    print(" succeeded")
    return 0
`;
const AGAIN = '[runctl] the job was interrupted, by a reboot for example; it is started again';
const REBOOT = { bootId: '00000000-0000-0000-0000-000000000000' };

const instance = useInstances();

describe('an install that was interrupted', () => {
  it.each(['a kill', 'a reboot', 'a shutdown'])(
    'by %s is started again once, when the request says so',
    async (how) => {
      const { box, run } = await installing();
      await interrupt(box, run, how);
      const before = await box.poll(run, 'install');
      expect(before.state).toBe(how === 'a shutdown' ? 'exited' : 'vanished');
      expect(await box.start(run, { install: {} })).toMatchObject({ state: before.state, pid: before.pid });

      const started = await box.start(run, { install: {} }, { again: true, wait: 0 });
      expect(started).toMatchObject({ state: 'running', log: { offset: 0 } });
      expect(started.pid).not.toBe(before.pid);
      // An answer was lost.
      expect(await box.start(run, { install: {} }, { again: true, wait: 0 })).toMatchObject({
        state: 'running',
        pid: started.pid,
      });
      writeFileSync(join(box.home, 'go'), '');
      const offset = before.log.size;
      await box.ended(run, 'install');
      const ended = await box.poll(run, 'install', { offset });
      expect(ended).toMatchObject({ state: 'exited', exit: { code: 0, signal: null }, log: { offset } });
      expect(box.logOf(run, 'install').toString()).toBe(`attempt\n${AGAIN}\nattempt succeeded\n`);
    },
  );

  it('a second time stays so', async () => {
    const { box, run } = await installing();
    await interrupt(box, run, 'a kill');
    const { pid } = await box.start(run, { install: {} }, { again: true, wait: 0 });
    await interrupt(box, run, 'a reboot');
    expect(await box.start(run, { install: {} }, { again: true, wait: 0 })).toMatchObject({ state: 'vanished', pid });
  });

  it('is not started again once its run is closed', async () => {
    const { box, run } = await installing();
    await interrupt(box, run, 'a kill');
    await box.stop(run, 0);
    expect(await box.start(run, { install: {} }, { again: true, wait: 0 })).toMatchObject({
      state: 'refused',
      reason: 'closed',
    });
  });
});

it('an install ends at the time that its request allows, and is not taken for an interrupted one', async () => {
  const box = instance({ modules: { 'install/main.py': INSTALL } });
  const run = box.giveLease(box.run());
  await box.start(run, { install: { maxDuration: 1 } }, { wait: 0 });
  const ended = await box.ended(run, 'install');
  expect(ended).toMatchObject({ state: 'stopped', reason: 'max-duration', exit: { signal: 'SIGTERM' } });
  const again = await box.start(run, { install: { maxDuration: 9 } }, { again: true, wait: 0 });
  expect(again).toMatchObject({ state: 'stopped', pid: ended.pid });
});

it('an install that failed, or was stopped, is not started again', async () => {
  const failed = instance({ modules: { 'install/main.py': 'def main(): return 3\n' } });
  const one = failed.giveLease(failed.run());
  await failed.start(one, { install: {} });
  await failed.ended(one, 'install');
  expect(await failed.start(one, { install: {} }, { again: true, wait: 0 })).toMatchObject({
    state: 'exited',
    exit: { code: 3 },
  });

  const { box, run } = await installing();
  await box.stop(run, 0);
  const { pid } = await box.ended(run, 'install');
  expect(await box.start(run, { install: {} }, { again: true, wait: 0 })).toMatchObject({ state: 'stopped', pid });
});

it('a training that vanished is never started again', async () => {
  const box = instance();
  box.write('train.py', 'import time\ntime.sleep(300)\n');
  const run = box.giveLease(box.run());
  const { pid } = await box.start(run, { train: {} });
  kill(box, run, 'train');
  expect(await box.ended(run, 'train')).toMatchObject({ state: 'vanished', pid });
  expect(await box.start(run, { train: {} }, { again: true, wait: 0 })).toMatchObject({ state: 'vanished', pid });
});

async function installing() {
  const box = instance({ modules: { 'install/main.py': INSTALL } });
  const run = box.giveLease(box.run());
  await box.start(run, { install: {} }, { wait: 0 });
  await waitFor(async () => box.logOf(run, 'install').toString().endsWith('attempt') || null);
  return { box, run };
}

/** Ends the install as a kill of all its processes does, a power failure, or systemd when the machine shuts down. */
async function interrupt(box: TestInstance, run: TestRun, how: string): Promise<void> {
  if (how === 'a shutdown') process.kill(supervisorOf(box, run, 'install'), 'SIGTERM');
  else kill(box, run, 'install');
  await box.ended(run, 'install');
  if (how !== 'a reboot') return;
  const path = join(box.jobFolder(run, 'install'), 'identity.json');
  writeFileSync(path, JSON.stringify({ ...box.marker(run, 'install', 'identity.json'), ...REBOOT }));
}

function kill(box: TestInstance, run: TestRun, job: 'install' | 'train'): void {
  killQuietly(supervisorOf(box, run, job));
  killQuietly(Number(box.marker(run, job, 'identity.json').pid));
}

function supervisorOf(box: TestInstance, run: TestRun, job: 'install' | 'train'): number {
  return (box.marker(run, job, 'identity.json').supervisor as { pid: number }).pid;
}
