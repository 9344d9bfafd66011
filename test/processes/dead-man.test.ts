import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { killQuietly } from '../support/instance/processes.ts';
import { type TestInstance, type TestRun, useInstances, waitFor } from '../support/instance/test-instance.ts';

const instance = useInstances();
/** Seconds without a request. */
const AFTER = 2;

/** An instance that writes a file when it would be shut down. */
function quietInstance() {
  let base = '';
  const env = {
    get RUNCTL_IDLE_FACTS() {
      return join(base, 'facts.json');
    },
    get RUNCTL_SHUTDOWN() {
      return JSON.stringify(['touch', join(base, 'shut down')]);
    },
  };
  const here = instance({ env });
  base = here.base;
  const set = (people: string[]) => writeFileSync(join(base, 'facts.json'), JSON.stringify({ people, load: 0 }));
  set([]);
  return { here, set, isDown: () => existsSync(join(base, 'shut down')) };
}

/** A sync that fails at once. */
const SYNC = { sync: { url: 'none:' } };
const begin = (here: TestInstance, run: TestRun, fields: object = {}) =>
  here.start(run, SYNC, { wait: 0, shutdown: { after: AFTER }, ...fields });

describe('an instance whose functions are gone', () => {
  it('shuts itself down when its run has ended, and starts nothing any more', async () => {
    const { here, isDown } = quietInstance();
    const run = here.run();
    await begin(here, run);
    await here.release(run);
    await waitFor(async () => isDown() || null);
    expect(await here.start(here.run(), { sync: {} }, { wait: 0 })).toMatchObject({
      state: 'refused',
      reason: 'stopping',
    });
  });

  it('shuts itself down although its lease was never given back, once no job lives', async () => {
    const { here, isDown } = quietInstance();
    const run = here.run();
    await begin(here, run);
    here.write('train.py', 'import time\ntime.sleep(6)\n');
    await here.ended(run, 'sync');
    await here.start(run, { train: {} });
    const exit = join(here.jobFolder(run, 'train'), 'exit.json');
    await waitFor(async () => {
      // Read first: the instance may be shut down right after the end.
      const was = isDown();
      if (!existsSync(exit)) expect(was).toBe(false);
      return was || null;
    });
    expect(JSON.parse(readFileSync(exit, 'utf8'))).toMatchObject({ code: 0 });
  });

  it('does so after a reboot, too: the next request starts its watch again', async () => {
    const { here, isDown } = quietInstance();
    const run = here.run();
    await begin(here, run, { shutdown: { after: 600 } });
    await here.ended(run, 'sync');
    const config = join(here.root, 'lease', 'dead-man.json');
    await waitFor(async () => existsSync(join(here.root, 'lease', 'heard')) || null);
    for (const pid of here.processes()) killQuietly(pid);
    await waitFor(async () => here.processes().length === 0 || null);
    writeFileSync(config, JSON.stringify({ after: AFTER }));
    await here.release(run);
    await waitFor(async () => isDown() || null);
  });

  it('does so while nothing comes but looks whether it may be stopped, and requests of runs that have ended', async () => {
    const { here, isDown } = quietInstance();
    const run = here.run();
    await begin(here, run);
    await here.ended(run, 'sync');
    await here.release(run);
    await waitFor(async () => {
      await here.send({ ...here.common('idle', run), quiet: 600 });
      await here.poll(run, 'sync');
      return isDown() || null;
    });
  });

  it('does so while starts come too late, although its lease was never given back', async () => {
    const { here, isDown } = quietInstance();
    const run = here.run();
    await begin(here, run);
    await here.ended(run, 'sync');
    await waitFor(async () => {
      await begin(here, run, { notAfter: 1 });
      return isDown() || null;
    });
  });

  it('goes on while requests come, a person is logged in, or a run waits', async () => {
    const { here, set, isDown } = quietInstance();
    const [run, waiting] = [here.run(), here.run()];
    await begin(here, run);
    for (let polls = 0; polls < 3 * AFTER; polls += 1) {
      await here.poll(run, 'sync');
      await sleep(500);
    }
    expect(isDown()).toBe(false);
    set(['ann is logged in']);
    await sleep(3 * AFTER * 1_000);
    expect(isDown()).toBe(false);
    set([]);
    // The time begins anew when a person has left.
    await sleep(AFTER * 500);
    expect(isDown()).toBe(false);
    await here.start(waiting, { sync: {} }, { wait: 0, queue: { ttl: 600 } });
    await sleep(3 * AFTER * 1_000);
    expect(isDown()).toBe(false);
    await here.stop(waiting);
    await waitFor(async () => isDown() || null);
  });

  it('is left alone by a start that does not ask for it', async () => {
    const { here, isDown } = quietInstance();
    const run = here.run();
    await here.start(run, { sync: {} }, { wait: 0 });
    await here.release(run);
    await sleep(3 * AFTER * 1_000);
    expect(isDown()).toBe(false);
    expect(existsSync(join(here.root, 'lease', 'dead-man.json'))).toBe(false);
  });
});
