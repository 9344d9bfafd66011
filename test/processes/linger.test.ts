import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAlive, type TestInstance, useInstances, waitFor } from '../support/instance/test-instance.ts';

const instance = useInstances();

async function started(box: TestInstance, script: string, train: { lingerGrace?: number } = {}) {
  box.write('train.py', script);
  const run = box.giveLease(box.run());
  await box.start(run, { train: { maxDuration: 600, ...train } });
  return run;
}

const childOf = (log: string) => Number(/^child (\d+)$/m.exec(log)?.[1] ?? 0);

describe('workers of a main process that ended badly', () => {
  it.each([
    ['by a signal', 'os.kill(os.getpid(), signal.SIGSEGV)', { code: null, signal: 'SIGSEGV' }],
    ['with an exit code', 'os._exit(3)', { code: 3, signal: null }],
  ])('are ended at once: %s', async (_, end, exit) => {
    const box = instance();
    const run = await started(
      box,
      `import multiprocessing, os, signal, time
worker = multiprocessing.Process(target=time.sleep, args=(600,))
worker.start()
print("child", worker.pid, flush=True)
${end}
`,
    );
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({ state: 'exited', exit: { ...exit, outOfMemory: false } });
    expect(isAlive(childOf(box.logOf(run, 'train').toString()))).toBe(false);
  });
});

describe('what still runs after the main process has exited with code 0', () => {
  it('is ended once it has been idle for lingerGrace, and named in the log and the warnings', async () => {
    const box = instance();
    const run = await started(
      box,
      'import subprocess\nprint("child", subprocess.Popen(["sleep", "600"]).pid, flush=True)\n',
      { lingerGrace: 1 },
    );
    const ended = await box.ended(run, 'train');
    expect(ended).toMatchObject({ state: 'exited', exit: { code: 0, signal: null } });
    const log = box.logOf(run, 'train').toString();
    const child = childOf(log);
    expect(log).toMatch(
      new RegExp(
        `^\\[runctl\\] PID \\d+ has exited with code 0; still running: ${child} \\(sleep\\)\\. They are ended`,
        'm',
      ),
    );
    expect(isAlive(child)).toBe(false);
    const marker = JSON.parse(readFileSync(join(box.jobFolder(run, 'train'), 'lingered.json'), 'utf8'));
    expect(marker).toEqual({ processes: `${child} (sleep)` });
  });

  it.each([
    ['uses the CPU', 'while True: pass'],
    ['writes to the log', 'import time\nwhile True: print("busy", flush=True); time.sleep(0.2)'],
  ])('goes on while it %s', async (_, work) => {
    const box = instance();
    const run = await started(
      box,
      `import subprocess, sys
print("child", subprocess.Popen([sys.executable, "-c", ${JSON.stringify(work)}]).pid, flush=True)
`,
      { lingerGrace: 2 },
    );
    const log = () => box.logOf(run, 'train').toString();
    await waitFor(() => (log().includes('still running') ? true : null));
    const since = performance.now();
    const child = childOf(log());
    await waitFor(() => (performance.now() - since > 6_000 || !isAlive(child) ? true : null));
    expect(isAlive(child)).toBe(true);
    expect((await box.poll(run, 'train')).state).toBe('running');
    await box.stop(run, 0);
    await box.ended(run, 'train');
  });
});
