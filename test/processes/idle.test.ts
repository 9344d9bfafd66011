import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AnswerTo } from '../../core/protocol/answers.ts';
import { type TestInstance, type TestRun, useInstances } from '../support/instance/test-instance.ts';

const instance = useInstances();

/** An instance on which nobody is logged in and nothing else works, whatever this machine does. */
function quietInstance() {
  const facts = { people: [] as string[], load: 0 };
  let path = '';
  const here = instance({
    env: {
      get RUNCTL_IDLE_FACTS() {
        return path;
      },
    },
  });
  path = join(here.base, 'facts.json');
  const set = (changes: Partial<typeof facts>) => writeFileSync(path, JSON.stringify({ ...facts, ...changes }));
  set({});
  return { here, set, path };
}

async function idle(here: TestInstance, run: TestRun, fields: object = {}) {
  const { answer } = await here.send<AnswerTo<'idle'>>({ ...here.common('idle', run), quiet: 0, ...fields });
  return answer;
}
const begin = (here: TestInstance, run: TestRun) => here.start(run, { sync: {} }, { wait: 0 });

describe('an instance may be stopped', () => {
  it('when nobody uses it: it is marked, and no run starts on it any more', async () => {
    const { here } = quietInstance();
    expect(await idle(here, here.run())).toMatchObject({ verdict: 'stopping', reasons: [] });
    const run = here.run();
    expect(await begin(here, run)).toMatchObject({ state: 'refused', reason: 'stopping' });
    // Sent again, as after a lost answer.
    expect(await idle(here, here.run())).toMatchObject({ verdict: 'stopping' });
  });

  it('and after the next boot, or when the stop did not come, runs start again', async () => {
    const { here } = quietInstance();
    const mark = join(here.root, 'lease', 'stopping.json');
    const change = (by: object) =>
      writeFileSync(mark, JSON.stringify({ ...JSON.parse(readFileSync(mark, 'utf8')), ...by }));
    for (const later of [{ bootId: 'the boot before' }, { uptime: -1e9 }]) {
      expect(await idle(here, here.run(), { anyRun: true })).toMatchObject({ verdict: 'stopping' });
      change(later);
      const run = here.run();
      expect((await begin(here, run)).state).not.toBe('refused');
      await here.release(run);
    }
  });

  it('but not while a run has it or waits for it, nor by the watch of an earlier run', async () => {
    const { here } = quietInstance();
    const [holder, waiting] = [here.run(), here.run()];
    await begin(here, holder);
    await here.start(waiting, { sync: {} }, { wait: 0, queue: { ttl: 600 } });
    expect(await idle(here, holder)).toMatchObject({
      verdict: 'in-use',
      reasons: [expect.stringContaining(holder.id), expect.stringContaining(waiting.id)],
    });
    await here.release(holder);
    expect(await idle(here, holder)).toMatchObject({ verdict: 'in-use' });
    await begin(here, waiting);
    await here.release(waiting);
    expect(await idle(here, holder)).toMatchObject({ verdict: 'in-use' });
    expect(await idle(here, waiting)).toMatchObject({ verdict: 'stopping' });
  });

  it('but not before it was quiet for long enough', async () => {
    const { here } = quietInstance();
    const run = here.run();
    await begin(here, run);
    await here.release(run);
    const { verdict, idleSeconds } = await idle(here, run, { quiet: 600 });
    expect(verdict).toBe('quiet');
    expect(idleSeconds).toBeGreaterThan(0);
    expect(idleSeconds).toBeLessThan(60);
  });

  it('but not while a process of a run lives whose lease is gone', async () => {
    const { here } = quietInstance();
    const run = here.giveLease(here.run());
    here.write('train.py', 'import time\nprint("on", flush=True)\ntime.sleep(600)\n');
    await here.start(run, { train: {} });
    await here.until(run, 'train', ({ state }) => state === 'running');
    rmSync(join(here.root, 'lease', 'holder.json'));
    const answer = await idle(here, run, { anyRun: true });
    expect(answer).toMatchObject({ verdict: 'busy', reasons: [expect.stringContaining('train')] });
  });

  it('but not while a person is logged in, another process works, or that is not known', async () => {
    const { here, set, path } = quietInstance();
    set({ people: ['ann is logged in (pts/0)'] });
    expect(await idle(here, here.run())).toMatchObject({ verdict: 'busy', reasons: ['ann is logged in (pts/0)'] });
    set({ load: 0.5 });
    expect(await idle(here, here.run())).toMatchObject({ verdict: 'busy', reasons: [expect.stringContaining('0.50')] });
    writeFileSync(path, 'what');
    expect(await idle(here, here.run())).toMatchObject({
      verdict: 'busy',
      reasons: [expect.stringMatching(/not known/)],
    });
    expect((await begin(here, here.run())).state).not.toBe('refused');
  });
});
