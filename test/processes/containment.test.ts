import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { containerKinds, insideKind } from '../support/instance/container-kinds.ts';
import { ESCAPES } from '../support/instance/escapes.ts';
import {
  isAlive,
  isRoot,
  NOBODY,
  RUNNER_FOLDER,
  type TestInstance,
  type TestRun,
  useInstances,
  waitFor,
} from '../support/instance/test-instance.ts';

const instance = useInstances();

const HEAD = 'import os, signal, subprocess, sys, time\n';
/** A daemon in a session of its own that ignores TERM; the job goes on. */
const DAEMON = `
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("ready", "w").close()
    time.sleep(300)
    os._exit(0)
while not os.path.exists("ready"): time.sleep(0.01)
`;

interface Identity {
  readonly pid: number;
  readonly supervisor: { readonly pid: number };
  readonly container: { readonly kind: string; readonly pid?: number; readonly path?: string; readonly why?: string };
}

const identity = (box: TestInstance, run: TestRun) => box.marker(run, 'train', 'identity.json') as unknown as Identity;

describe.each(containerKinds())('in a container of the kind %s', (kind) => {
  const box = (modules = {}) => instance({ user: NOBODY.name, before: insideKind(kind), modules });

  /** A training that has come as far as making the file `ready`. */
  async function begun(script: string, train = {}, here = box()): Promise<{ here: TestInstance; run: TestRun }> {
    here.write('train.py', HEAD + script);
    const run = here.giveLease(here.run());
    await here.start(run, { train });
    await waitFor(() => existsSync(join(here.project, 'ready')) || null);
    expect(identity(here, run).container.kind).toBe(kind);
    return { here, run };
  }

  /** Nothing of the instance runs, however often one looks: a chain of forks is easily missed once. */
  async function expectNothing(here: TestInstance, run: TestRun): Promise<void> {
    for (let i = 0; i < 5; i += 1) expect(here.processes()).toEqual([]);
    const { container } = identity(here, run);
    if (container.path) expect(existsSync(container.path)).toBe(false);
    if (container.pid) expect(isAlive(container.pid)).toBe(false);
  }

  it.each(Object.entries(ESCAPES))('a release ends %s', async (_, source) => {
    const { here, run } = await begun(source);
    expect(await here.release(run)).toMatchObject({ released: true, jobs: { train: 'stopped' } });
    await expectNothing(here, run);
  });

  it('a run whose job has ended ends what it left, within seconds', async () => {
    const { here, run } = await begun(`${ESCAPES['sixty chains of forks']?.replace('time.sleep(300)', '')}`);
    const began = performance.now();
    expect(await here.ended(run, 'train', 20)).toMatchObject({ state: 'exited', exit: { code: 0 } });
    expect(performance.now() - began).toBeLessThan(12_000);
    await waitFor(() => (isAlive(identity(here, run).supervisor.pid) ? null : 'gone'));
    await expectNothing(here, run);
  });

  it('a stop gives its grace to all of a job, and then kills all of it', async () => {
    const { here, run } = await begun(`${DAEMON}signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(300)\n`);
    const began = performance.now();
    await here.stop(run, 2);
    expect(await here.ended(run, 'train', 20)).toMatchObject({
      state: 'stopped',
      exit: { signal: 'SIGKILL', outOfMemory: false },
    });
    expect(performance.now() - began).toBeGreaterThan(1_900);
    expect(performance.now() - began).toBeLessThan(8_000);
    await waitFor(() => (isAlive(identity(here, run).supervisor.pid) ? null : 'gone'));
    await expectNothing(here, run);
  });

  it('a stop shortens what is given to processes that a job has left', async () => {
    const { here, run } = await begun(DAEMON);
    await here.until(
      run,
      'train',
      (status) => here.logOf(run, 'train').includes('ending what it left') || status.exit !== null,
    );
    await here.stop(run, 0);
    const began = performance.now();
    expect(await here.ended(run, 'train', 20)).toMatchObject({ state: 'exited', exit: { code: 0 } });
    expect(performance.now() - began).toBeLessThan(2_500);
  });

  it('the job is known by its own PID, and its end is known exactly', async () => {
    const here = box();
    for (const [script, exit] of [
      ['sys.exit(3)', { code: 3, signal: null }],
      ['os.kill(os.getpid(), signal.SIGSEGV)', { code: null, signal: 'SIGSEGV' }],
      ['hog = b"x" * (96 << 20)', { code: 0, signal: null }],
    ] as const) {
      here.write('train.py', `${HEAD}time.sleep(1)\n${script}\n`);
      const run = here.giveLease(here.run());
      const { pid } = await here.start(run, { train: {} });
      await waitFor(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').endsWith('train.py\0') || null);
      const ended = await here.ended(run, 'train');
      expect(ended).toMatchObject({ state: 'exited', pid, exit: { ...exit, outOfMemory: false } });
      expect(ended.exit?.maxRssBytes).toBeGreaterThan(script.startsWith('hog') ? 96 << 20 : 1 << 20);
      await here.release(run);
    }
  });

  it('a job that its supervisor did not let begin never begins, and nothing is left', async () => {
    const killed = `
def _die(self):
    os.kill(os.getpid(), signal.SIGKILL)
Held.go = _die
`;
    const here = box({ 'jobs/spawn.py': readFileSync(join(RUNNER_FOLDER, 'jobs/spawn.py'), 'utf8') + killed });
    here.write('train.py', 'open("ran", "w")\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    expect((await here.ended(run, 'train', 10)).state).toBe('vanished');
    await waitFor(() => here.processes().length === 0 || null, 10);
    expect(existsSync(join(here.project, 'ran'))).toBe(false);
  });

  describe('when its supervisor was killed', () => {
    it('a stop ends all of the job', async () => {
      const { here, run } = await begun(`${DAEMON}time.sleep(300)\n`);
      process.kill(identity(here, run).supervisor.pid, 'SIGKILL');
      await waitFor(() => (isAlive(identity(here, run).supervisor.pid) ? null : 'gone'));
      expect(await here.stop(run, 1)).toMatchObject({ jobs: { train: 'running' } });
      expect(await here.ended(run, 'train', 20)).toMatchObject({ state: 'stopped', reason: 'stop' });
      await waitFor(() => (isAlive(identity(here, run).supervisor.pid) ? null : 'gone'));
      await expectNothing(here, run);
    });

    it('a release ends what the job left, though its process has gone', async () => {
      const { here, run } = await begun(`${DAEMON}time.sleep(300)\n`);
      const { pid, supervisor } = identity(here, run);
      for (const one of [supervisor.pid, pid]) process.kill(one, 'SIGKILL');
      await waitFor(() => (isAlive(pid) || isAlive(supervisor.pid) ? null : 'gone'));
      expect((await here.poll(run, 'train')).state).toBe('vanished');
      expect(here.processes().length).toBeGreaterThan(0);
      expect(await here.release(run)).toMatchObject({ released: true, jobs: { train: 'vanished' } });
      await expectNothing(here, run);
    });
  });

  it('a job sees nothing of the instance that it did not see before', async () => {
    const { here, run } = await begun(`
fields = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(sorted(name for name in os.listdir("/proc/self/fd")), os.getsid(0) == os.getpid(), os.path.exists("/proc/sys"))
open("ready", "w").close()
`);
    expect((await here.ended(run, 'train')).tail?.at(-1)).toBe("['0', '1', '2', '3'] True True");
  });
});

describe.runIf(containerKinds().length > 0)('without any container', () => {
  it('a job runs all the same, and its log and identity say so', async () => {
    const here = instance({ user: NOBODY.name, before: insideKind('process-group') });
    here.write('train.py', 'print("trained")\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    const ended = await here.ended(run, 'train');
    expect(ended).toMatchObject({ state: 'exited', exit: { code: 0 } });
    expect(ended.tail?.[0]).toMatch(/^\[runctl\] no container for this job \(.*cgroup.*PID namespace.*\)/);
    expect(identity(here, run).container).toMatchObject({ kind: 'process-group', why: expect.stringContaining('PID') });
  });
});

it.runIf(containerKinds().includes('cgroup'))('an empty cgroup is not left behind', async () => {
  const here = instance({ user: NOBODY.name });
  here.write('train.py', 'print(1)\n');
  const run = here.giveLease(here.run());
  await here.start(run, { train: {} });
  await here.ended(run, 'train');
  const { path } = identity(here, run).container;
  expect(readdirSync(join(path as string, '..')).filter((name) => name.includes(run.key))).toEqual([]);
});

describe('no program of the user can gain privileges', () => {
  it('since every way to become the user is the one that forbids it', () => {
    const files = readdirSync(RUNNER_FOLDER, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.py'),
    );
    const drops = /\b(set(res|re|e)?[ug]id|initgroups|setgroups|preexec_fn|seteuid)\b/;
    const found = files.filter((name) => drops.test(readFileSync(join(RUNNER_FOLDER, name), 'utf8')));
    // The process of nvidia-smi stays what the supervisor is; it only asks to end with it.
    expect(found).toEqual(['common/accounts.py', 'jobs/gpu.py']);
    expect(readFileSync(join(RUNNER_FOLDER, 'jobs/gpu.py'), 'utf8')).not.toMatch(/set\w*[ug]id|groups/);
  });

  it.runIf(isRoot)('and where it cannot be forbidden, no program of the user runs', async () => {
    const source = readFileSync(join(RUNNER_FOLDER, 'common/libc.py'), 'utf8');
    const refusing = `
_switch_on = switch_on
def switch_on(option):
    if option == PR_SET_NO_NEW_PRIVS: raise OSError(errno.EINVAL, "no_new_privs")
    _switch_on(option)
`;
    const here = instance({ user: NOBODY.name, modules: { 'common/libc.py': source + refusing } });
    here.write('train.py', 'open("ran", "w")\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} });
    expect(await here.ended(run, 'train')).toMatchObject({
      exit: { code: 127 },
      result: { error: { name: 'StartFailed', message: expect.stringContaining('no_new_privs') } },
    });
    expect(existsSync(join(here.project, 'ran'))).toBe(false);
  });
});
