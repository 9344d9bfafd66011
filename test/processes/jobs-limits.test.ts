import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { memoryCgroups } from '../support/instance/memory-cgroups.ts';
import { AGENT_PATH, isRoot, type TestInstance, useInstances, waitFor } from '../support/instance/test-instance.ts';

const cleanUps: (() => void)[] = [];
const instance = useInstances();
// Runs before the instances are removed: hooks run in reverse order.
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

const cgroups = memoryCgroups();
if (!cgroups) console.log('skipped: killed for memory, since there is no memory cgroup here that this user may make');
if (!isRoot) console.log('skipped: disk full, since only root can mount a small disk');

const HUNGRY = 'hog = bytearray()\nwhile True: hog += b"x" * (8 << 20)\n';

describe.runIf(cgroups !== null)('training that is killed for memory', () => {
  it('is reported as out of memory', async () => {
    const box = inCgroup(128);
    box.write('train.py', `print("hungry", flush=True)\n${HUNGRY}`);
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({
      state: 'exited',
      exit: { code: null, signal: 'SIGKILL', outOfMemory: true },
      tail: ['hungry'],
    });
    expect(ended.exit?.maxRssBytes).toBeGreaterThan(32 << 20);
  });

  it('is reported as out of memory also behind a shell, which turns the signal into an exit code', async () => {
    const box = inCgroup(128);
    box.write('hog.py', HUNGRY);
    box.write('train.py', 'import os, sys\nsys.exit(os.WEXITSTATUS(os.system(f"{sys.executable} hog.py; exit $?")))\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    expect(await box.ended(run, 'train')).toMatchObject({ exit: { code: 137, outOfMemory: true } });
  });
});

it('a training that is killed by hand is not reported as out of memory', async () => {
  const box = instance();
  box.write('train.py', 'import os\nos.kill(os.getpid(), 9)\n');
  const run = box.giveLease(box.run());
  await box.start(run, { train: {} });
  expect(await box.ended(run, 'train')).toMatchObject({ exit: { signal: 'SIGKILL', outOfMemory: false } });
});

describe.runIf(isRoot)('a full disk', () => {
  it('refuses a start, and nothing is begun', async () => {
    const box = onSmallDisk('1m');
    const run = box.giveLease(box.run());
    expect(await box.start(run, { train: {} })).toMatchObject({ ok: false, error: { name: 'DiskFull' } });
    expect(existsSync(join(box.root, 'runs', run.key))).toBe(false);
  });

  it('while training is named in its result, and the end is written all the same', async () => {
    const box = onSmallDisk('4m');
    box.write('train.py', 'import os\nwhile True: os.write(1, b"x" * 65536)\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({ state: 'exited', exit: { code: 1 }, result: { error: { name: 'DiskFull' } } });
    expect(ended.log.size).toBeGreaterThan(2_000_000);
  });
});

describe('a poll', () => {
  it('costs little more than the interpreter that runs it', async () => {
    const measured = 'MEASURED_INTO';
    const measure = `import os, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
open(os.environ["${measured}"], "w").write(str(used.ru_utime + used.ru_stime))
sys.exit(code)`;
    const into = join(instance().base, 'cpu');
    const before = ['python3', '-I', '-c', measure];
    const box = instance({ before, env: { [measured]: into }, asShipped: true });
    box.write('train.py', 'import time\ntime.sleep(300)\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    const costs: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      await box.poll(run, 'train');
      costs.push(Number(readFileSync(into, 'utf8')));
    }
    const bare = ['-I', '-c', measure, 'python3', '-I', '-B', '-c', 'pass'];
    const interpreter = Math.min(
      ...costs.map(() => {
        execFileSync('python3', bare, { env: { PATH: AGENT_PATH, [measured]: into } });
        return Number(readFileSync(into, 'utf8'));
      }),
    );
    const ours = Math.min(...costs) - interpreter;
    console.log(
      `a poll: ${Math.round(ours * 1000)} ms of CPU beside the interpreter's ${Math.round(interpreter * 1000)}`,
    );
    expect(ours).toBeLessThan(0.06);
  });
});

function inCgroup(megabytes: number): TestInstance {
  const { base, limit } = cgroups as { base: string; limit: string };
  const folder = join(base, `runctl-test-${process.pid}-${Math.random().toString(36).slice(2)}`);
  const enter = `mkdir -p "${folder}" && echo ${megabytes << 20} > "${folder}/${limit}" && echo $$ > "${folder}/cgroup.procs" && exec "$@"`;
  const box = instance({ before: ['sh', '-c', enter, 'sh'] });
  cleanUps.push(() => {
    for (const pid of box.processes()) process.kill(pid, 'SIGKILL');
  });
  removedAtTheEnd.push(folder);
  return box;
}

const removedAtTheEnd: string[] = [];
afterEach(async () => {
  for (const folder of removedAtTheEnd.splice(0)) {
    await waitFor(() => {
      try {
        if (existsSync(folder)) rmdirSync(folder);
        return 'gone';
      } catch {
        return null; // its last process is still on its way out
      }
    });
  }
});

function onSmallDisk(size: string): TestInstance {
  const box = instance({ asShipped: true });
  const runner = readFileSync(box.runner);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', box.root]);
  cleanUps.push(() => {
    for (const pid of box.processes()) process.kill(pid, 'SIGKILL');
    execFileSync('umount', ['-l', box.root]);
  });
  execFileSync('mkdir', [join(box.root, 'programs')]);
  writeFileSync(box.runner, runner);
  writeFileSync(join(box.root, 'allow-root'), '');
  return box;
}
