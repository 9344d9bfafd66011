import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  isAlive,
  RUNNER_FOLDER,
  type TestInstance,
  type TestRun,
  useInstances,
  waitFor,
} from '../support/instance/test-instance.ts';

const instance = useInstances();

interface Identity {
  pid: number;
  startTime: number;
  bootId: string;
  supervisor: { pid: number; startTime: number };
}

async function running(box: TestInstance, script = 'import time\ntime.sleep(300)\n'): Promise<TestRun> {
  box.write('train.py', script);
  const run = box.giveLease(box.run());
  await box.start(run, { train: {} });
  return run;
}

function identity(box: TestInstance, run: TestRun): Identity {
  return box.marker(run, 'train', 'identity.json') as unknown as Identity;
}

/** What the disk would say in another life. */
function pretend(box: TestInstance, run: TestRun, changed: Partial<Identity>): void {
  const file = join(box.jobFolder(run, 'train'), 'identity.json');
  writeFileSync(file, JSON.stringify({ ...identity(box, run), ...changed }));
}

async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await waitFor(() => (isAlive(pid) ? null : 'gone'));
}

describe('what a poll says', () => {
  it('absent, of a job that was never started', async () => {
    const box = instance();
    expect(await box.poll(box.run(), 'train')).toMatchObject({
      ok: true,
      state: 'absent',
      pid: null,
      exit: null,
      tail: null,
    });
    expect(existsSync(join(box.root, 'runs'))).toBe(false);
  });

  it('vanished, when supervisor and process were killed', async () => {
    const box = instance();
    const run = await running(box);
    const { pid, supervisor } = identity(box, run);
    await kill(supervisor.pid);
    await kill(pid);
    expect(await box.poll(run, 'train')).toMatchObject({ state: 'vanished', pid, exit: null });
    expect(await box.start(run, { train: {} })).toMatchObject({ state: 'vanished', pid });
  });

  it('running, when only the supervisor was killed and the process lives; vanished once that has gone', async () => {
    const box = instance();
    const run = await running(box);
    const { pid, supervisor } = identity(box, run);
    await kill(supervisor.pid);
    expect(await box.poll(run, 'train')).toMatchObject({ state: 'running', pid });
    await kill(pid);
    expect((await box.poll(run, 'train')).state).toBe('vanished');
  });

  it('running, while the process is dead and its supervisor has not yet written the end', async () => {
    const box = instance();
    const run = await running(box);
    const { pid, supervisor } = identity(box, run);
    process.kill(supervisor.pid, 'SIGSTOP');
    await kill(pid);
    expect((await box.poll(run, 'train')).state).toBe('running');
    process.kill(supervisor.pid, 'SIGCONT');
    expect(await box.ended(run, 'train')).toMatchObject({ state: 'exited', exit: { signal: 'SIGKILL' } });
  });

  it('running, while the supervisor lives, whatever end a job of the same user wrote; then what the supervisor says', async () => {
    const box = instance();
    const run = await running(box, 'import sys, time\ntime.sleep(3)\nsys.exit(4)\n');
    const file = join(box.jobFolder(run, 'train'), 'exit.json');
    const forged = {
      code: 0,
      signal: null,
      endedAt: 1,
      maxRssBytes: 1,
      outOfMemory: false,
      reason: null,
      result: null,
    };
    for (const text of [JSON.stringify(forged), 'no JSON']) {
      writeFileSync(file, text);
      expect(await box.poll(run, 'train')).toMatchObject({ state: 'running', exit: null });
    }
    expect(await box.ended(run, 'train')).toMatchObject({ state: 'exited', exit: { code: 4 } });
  });

  it('exited, of a process that was killed before its program began', async () => {
    const source = readFileSync(join(RUNNER_FOLDER, 'jobs/spawn.py'), 'utf8');
    const killed = `
_go = Held.go
def _killed_before(self):
    os.kill(self.pid, signal.SIGKILL)
    os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
    return _go(self)
Held.go = _killed_before
`;
    const box = instance({ modules: { 'jobs/spawn.py': source + killed } });
    const run = await running(box);
    expect(await box.ended(run, 'train')).toMatchObject({ state: 'exited', exit: { signal: 'SIGKILL' } });
  });

  it('vanished, when the machine has started anew since', async () => {
    const box = instance();
    const run = await running(box);
    pretend(box, run, { bootId: '00000000-0000-0000-0000-000000000000' });
    expect((await box.poll(run, 'train')).state).toBe('vanished');
    expect((await box.start(run, { train: {} })).state).toBe('vanished');
  });

  it('vanished, when the PID is somebody else’s now', async () => {
    const box = instance();
    const run = await running(box);
    const { supervisor } = identity(box, run);
    await kill(supervisor.pid);
    await kill(identity(box, run).pid);
    pretend(box, run, { pid: process.pid, startTime: 1 });
    expect((await box.poll(run, 'train')).state).toBe('vanished');
    expect(await box.stop(run, 0)).toMatchObject({ jobs: { train: 'vanished' } });
    expect(isAlive(process.pid)).toBe(true);
  });

  it('vanished, when the process is a zombie that nobody asks for', async () => {
    const box = instance();
    const run = await running(box);
    const { pid, supervisor } = identity(box, run);
    // Held still, the supervisor cannot reap its child: a zombie. Its own death is played by its marker.
    process.kill(supervisor.pid, 'SIGSTOP');
    process.kill(pid, 'SIGKILL');
    await waitFor(() => /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')) || null);
    pretend(box, run, { supervisor: { ...supervisor, startTime: 1 } });
    expect((await box.poll(run, 'train')).state).toBe('vanished');
  });

  it('running, until all of the group has gone, when the parent exits with code 0', async () => {
    const box = instance();
    const run = await running(
      box,
      `import os, sys, time
if os.fork() == 0:
    time.sleep(2)
    print("the child is done", flush=True)
    os._exit(0)
sys.exit(0)
`,
    );
    await waitFor(() => (isAlive(identity(box, run).pid) ? null : 'gone'));
    expect((await box.poll(run, 'train')).state).toBe('running');
    expect(existsSync(join(box.jobFolder(run, 'train'), 'exit.json'))).toBe(false);
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({
      state: 'exited',
      exit: { code: 0 },
      tail: [expect.stringMatching(/^\[runctl\] PID \d+ has exited with code 0; still running: /), 'the child is done'],
    });
  });

  it('running, of a group whose parent and supervisor are both gone', async () => {
    const box = instance();
    const run = await running(box, 'import os, time\nos.fork()\ntime.sleep(300)\n');
    const { pid, supervisor } = identity(box, run);
    await waitFor(() => box.processes().length === 3 || null);
    await kill(supervisor.pid);
    await kill(pid);
    expect((await box.poll(run, 'train')).state).toBe('running');
    await box.stop(run, 0);
    // Between the end of the group and the record of the stop, a poll may still find it vanished.
    await expect.poll(async () => (await box.poll(run, 'train')).state, { timeout: 30_000 }).toBe('stopped');
    expect(await waitFor(() => (box.processes().length === 0 ? 'none' : null))).toBe('none');
  });

  it('exited, when only a session of its own is left behind; that is ended, and said', async () => {
    const box = instance();
    const run = await running(
      box,
      `import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
print("left behind", child.pid)
`,
    );
    const ended = await box.ended(run, 'train', 20);
    const left = Number(/left behind (\d+)/.exec(ended.tail?.join('\n') ?? '')?.[1]);
    expect(ended).toMatchObject({ state: 'exited', exit: { code: 0 } });
    expect(ended.tail?.at(-1)).toBe(`[runctl] the job has ended; ending the processes that it left: ${left}`);
    expect(isAlive(left)).toBe(false);
  });
});
