import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  isAlive,
  startRequest,
  type TestInstance,
  type TestRun,
  useInstances,
  waitFor,
} from '../support/instance/test-instance.ts';

const instance = useInstances();

/** A training that counts how often it was begun, and lasts. */
function counting(box: TestInstance, seconds = 60): void {
  box.write('train.py', `import time\nopen("begun", "a").write("x")\ntime.sleep(${seconds})\n`);
}

async function begun(box: TestInstance): Promise<number> {
  const file = join(box.project, 'begun');
  return await waitFor(() => (existsSync(file) && readFileSync(file, 'utf8').length) || null);
}

describe('a start', () => {
  it('delivered twice begins one job, and both answers name it', async () => {
    const box = instance();
    counting(box);
    const run = box.giveLease(box.run());
    const first = await box.start(run, { train: {} });
    const second = await box.start(run, { train: {} });
    expect(second).toMatchObject({ state: 'running', pid: first.pid, startedAt: first.startedAt });
    expect(await begun(box)).toBe(1);
  });

  it('delivered eight times in the same moment begins one job', async () => {
    const box = instance();
    counting(box);
    const run = box.giveLease(box.run());
    const answers = await Promise.all(Array.from({ length: 8 }, () => box.start(run, { train: {} })));
    expect(new Set(answers.map((answer) => answer.pid)).size).toBe(1);
    expect(await begun(box)).toBe(1);
    await box.stop(run, 0);
    await box.ended(run, 'train');
    expect(await begun(box)).toBe(1);
  });

  it('of a job that has ended answers how it ended', async () => {
    const box = instance();
    counting(box, 0);
    const run = box.giveLease(box.run());
    await box.start(run, { train: {} });
    const ended = await box.ended(run, 'train');
    expect(await box.start(run, { train: {} }, { notAfter: 0 })).toMatchObject({ state: 'exited', exit: ended.exit });
    expect(await begun(box)).toBe(1);
  });

  it('that comes too late is refused, and changes nothing', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    const late = await box.start(run, { train: {} }, { notAfter: Date.now() / 1000 - 1 });
    expect(late).toMatchObject({ ok: true, state: 'refused', reason: 'too-late' });
    expect(existsSync(join(box.root, 'runs', run.key))).toBe(false);
  });

  it('after the closing marker is refused', async () => {
    const box = instance();
    const run = box.giveLease(box.run());
    expect(await box.stop(run)).toMatchObject({ ok: true, jobs: {} });
    expect(await box.start(run, { train: {} })).toMatchObject({ state: 'refused', reason: 'closed' });
    expect(existsSync(box.jobFolder(run, 'train'))).toBe(false);
  });

  it('of install or train without the lease is refused', async () => {
    const box = instance();
    const run = box.run();
    expect(await box.start(run, { train: {} })).toMatchObject({ state: 'refused', reason: 'no-lease' });
    expect(await box.start(run, { install: {} })).toMatchObject({ state: 'refused', reason: 'no-lease' });
    box.giveLease(box.run('other'));
    expect(await box.start(run, { train: {} })).toMatchObject({ state: 'refused', reason: 'no-lease' });
  });

  it('that was cut off before its supervisor took the job is simply begun by the next', async () => {
    const box = instance();
    counting(box);
    const run = box.giveLease(box.run());
    await killedBeforeItsSupervisor(box, run);
    expect((await box.poll(run, 'train')).state).toBe('absent');
    expect((await box.start(run, { train: {} })).state).toBe('running');
    expect(await begun(box)).toBe(1);
    expect(existsSync(join(box.jobFolder(run, 'train'), 'input.json'))).toBe(false);
  });

  it('whose command is killed with its process group leaves the job running', async () => {
    const box = instance();
    counting(box);
    const run = box.giveLease(box.run());
    const command = box.command(startRequest(box, run, { train: {} }));
    const { pid } = await box.until(run, 'train', (status) => status.pid !== null);
    try {
      process.kill(-(command.pid as number), 'SIGKILL');
    } catch {
      // It had answered already: then there is no group left to kill, and the job is on its own anyway.
    }
    expect(isAlive(pid as number)).toBe(true);
    expect((await box.poll(run, 'train')).state).toBe('running');
    // Only a supervisor that lives can tell how its job ended.
    await box.stop(run, 30);
    expect(await box.ended(run, 'train')).toMatchObject({ state: 'stopped', exit: { signal: 'SIGTERM' } });
  });
});

/** Leaves what a start leaves that died between writing its input and starting the supervisor. */
async function killedBeforeItsSupervisor(box: TestInstance, run: TestRun): Promise<void> {
  await box.start(run, { train: {} });
  await box.until(run, 'train', (status) => status.pid !== null);
  await begun(box);
  for (const pid of box.processes()) process.kill(pid, 'SIGKILL');
  await waitFor(() => box.processes().length === 0 || null);
  const folder = box.jobFolder(run, 'train');
  for (const name of ['identity.json', 'log']) rmSync(join(folder, name));
  rmSync(join(box.project, 'begun'));
  writeFileSync(join(folder, 'input.json'), '{"old": "input"}');
}
