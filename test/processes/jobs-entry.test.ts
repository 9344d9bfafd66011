import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type TestInstance, useInstances, waitFor } from '../support/instance/test-instance.ts';

const instance = useInstances();

function program(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  chmodSync(path, 0o755);
}

/** A virtual environment in the home folder. */
function environment(box: TestInstance): { python: string; bin: string } {
  const bin = join(box.home, 'env', 'bin');
  mkdirSync(bin, { recursive: true });
  symlinkSync('/usr/bin/python3', join(bin, 'python3'));
  writeFileSync(join(box.home, 'env', 'pyvenv.cfg'), 'home = /usr/bin\n');
  return { python: join(bin, 'python3'), bin };
}

/** As torchrun does: starts workers, ends the others when one fails, and exits with the worst of their codes. */
const LAUNCHER = `#!/usr/bin/env python3
import signal, subprocess, sys, time
count = int(sys.argv[1].split("=")[1])
workers = [subprocess.Popen([sys.executable, *sys.argv[2:], str(rank)], start_new_session=True) for rank in range(count)]
def stop(number, frame):
    for worker in workers:
        worker.terminate()
signal.signal(signal.SIGTERM, stop)
while any(worker.poll() is None for worker in workers):
    if any(worker.poll() for worker in workers):
        stop(None, None)
    time.sleep(0.05)
codes = [worker.wait() for worker in workers]
sys.exit(max(code if code >= 0 else 128 - code for code in codes if code != -15) if any(codes) else 0)
`;

describe('a module', () => {
  it('is found in the project folder and in src/, and imports from both', async () => {
    const box = instance();
    box.write('common.py', 'WORD = "shared"\n');
    box.write('src/pkg/__init__.py', '');
    box.write(
      'src/pkg/train.py',
      'import common, os, sys\nprint(__package__, common.WORD, sys.argv[1:], os.getpid())\n',
    );
    box.write('tool/__main__.py', 'import pkg, sys\nprint("tool", pkg.__name__)\nsys.exit(3)\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: { module: 'pkg.train', args: ['--lr', '$X *'], env: { PYTHONPATH: '/own' } } });
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({ exit: { code: 0 }, tail: [`pkg shared ['--lr', '$X *'] ${ended.pid}`] });
    await box.release(run);
    const second = box.giveLease(box.run());
    await box.start(second, { train: { module: 'tool' } });
    expect(await box.ended(second, 'train')).toMatchObject({ exit: { code: 3 }, tail: ['tool pkg'] });
  });

  it("keeps the person's own PYTHONPATH behind the project", async () => {
    const box = instance();
    box.write('show.py', 'import os\nprint(os.environ["PYTHONPATH"])\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: { module: 'show', env: { PYTHONPATH: '/own' } } });
    expect((await box.ended(run, 'train')).tail).toEqual([`${box.project}:${box.project}/src:/own`]);
  });
});

describe('a command', () => {
  const show = (name: string) => `#!/bin/sh\necho ${name} $$ "$#" "$1"\nexit 4\n`;

  it("is found in the environment's folder first, then on PATH, and its words are literal", async () => {
    const box = instance();
    const { python, bin } = environment(box);
    const local = join(box.home, '.local', 'bin');
    program(join(bin, 'torchrun'), show('environment'));
    program(join(local, 'torchrun'), show('local'));
    program(join(local, 'only-local'), show('local'));
    const results: unknown[] = [];
    for (const [name, chosen] of [
      ['torchrun', python],
      ['only-local', python],
      ['torchrun', null],
    ] as const) {
      const run = box.giveLease(box.run());
      const words = [name, '$(id) *', 'a b'];
      await box.start(run, { train: { command: words, args: ['c'], python: chosen } });
      const ended = await box.ended(run, 'train');
      expect(ended.exit).toMatchObject({ code: 4 });
      results.push(ended.tail?.map((line) => line.replace(String(ended.pid), 'PID')));
      await box.release(run);
    }
    expect(results).toEqual([['environment PID 3 $(id) *'], ['local PID 3 $(id) *'], ['local PID 3 $(id) *']]);
  });

  it("may be a path in the project, or the run's python", async () => {
    const box = instance();
    const { python } = environment(box);
    program(join(box.project, 'bin', 'go'), show('own'));
    box.write('show.py', 'import sys\nprint(sys.prefix)\n');
    const run = box.giveLease(box.run());
    await box.start(run, { train: { command: ['bin/go'] } });
    expect((await box.ended(run, 'train')).tail?.[0]).toMatch(/^own \d+ 0 $/);
    await box.release(run);
    const second = box.giveLease(box.run());
    await box.start(second, { train: { command: ['python', 'show.py'], python } });
    expect((await box.ended(second, 'train')).tail).toEqual([join(box.home, 'env')]);
  });

  it('that does not exist ends the training with a message that says where it was searched', async () => {
    const box = instance();
    const { python, bin } = environment(box);
    const run = box.giveLease(box.run());
    await box.start(run, { train: { command: ['torchrun', 'train.py'], python } });
    const { exit, result, tail } = await box.ended(run, 'train');
    expect(exit?.code).toBe(127);
    expect(result).toMatchObject({
      error: {
        name: 'StartFailed',
        message: expect.stringContaining(`${bin}, `),
      },
    });
    expect(tail?.[0]).toContain('install it, or name its path in command');
  });
});

describe('a launcher with four workers', () => {
  async function launched(worker: string) {
    const box = instance();
    const { python, bin } = environment(box);
    program(join(bin, 'torchrun'), LAUNCHER);
    box.write('train.py', worker);
    const run = box.giveLease(box.run());
    await box.start(run, { train: { command: ['torchrun', '--nproc-per-node=4', 'train.py'], python } });
    return { box, run };
  }
  const isEmpty = (box: TestInstance) => waitFor(() => (box.processes().length === 0 ? 'none' : null));

  it('is stopped as a whole, with workers that ignore TERM in sessions of their own', async () => {
    const { box, run } = await launched(
      'import signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint("ready", sys.argv[1], flush=True)\ntime.sleep(300)\n',
    );
    await box.until(run, 'train', () => box.logOf(run, 'train').toString().split('ready').length > 4);
    await box.stop(run, 1);
    expect(await box.ended(run, 'train', 20)).toMatchObject({ state: 'stopped', reason: 'stop' });
    expect(await isEmpty(box)).toBe('none');
  });

  it('reports its exit code when one of them fails, and leaves none of them', async () => {
    const { box, run } = await launched(
      'import sys, time\nprint("rank", sys.argv[1], flush=True)\nif sys.argv[1] == "2":\n    sys.exit(9)\ntime.sleep(300)\n',
    );
    expect(await box.ended(run, 'train', 30)).toMatchObject({ state: 'exited', exit: { code: 9, signal: null } });
    expect(await isEmpty(box)).toBe('none');
  });

  it('succeeds when all of them do', async () => {
    const { box, run } = await launched('import os, sys\nopen("rank-" + sys.argv[1], "w").close()\n');
    expect(await box.ended(run, 'train', 30)).toMatchObject({ state: 'exited', exit: { code: 0 } });
  });
});
