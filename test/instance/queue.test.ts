import { describe, expect, it } from 'vitest';
import { type TestInstance, type TestRun, useInstances } from './harness.ts';

const instance = useInstances();

describe('the queue', () => {
  const SYNC = {
    url: 'http://127.0.0.1:1/x',
    sha256: 'a'.repeat(64),
    bytes: 1,
    script: 'train.py',
    requirements: null,
  };
  const start = (here: TestInstance, run: TestRun, fields: object = {}) =>
    here.start(run, { sync: { ...SYNC, strip: null, versionId: null } }, { wait: 0, queue: { ttl: 600 }, ...fields });

  it('gives the instance to the oldest ticket, and to nobody before it', async () => {
    const here = instance();
    const holder = here.giveLease(here.run());
    const [first, second, third] = [here.run(), here.run(), here.run()];
    for (const [index, run] of [first, second, third].entries()) {
      expect((await start(here, run)).queue).toMatchObject({ place: index + 1, length: index + 1 });
    }
    expect((await here.release(holder)).released).toBe(true);
    expect(await start(here, second)).toMatchObject({ state: 'busy', holder: null, queue: { place: 2 } });
    expect(await start(here, here.run(), { queue: null })).toMatchObject({ state: 'busy', queue: null });
    // The first one's execution has ended: its place is the second's.
    expect((await start(here, second, { ended: [first.arn] })).state).not.toBe('busy');
    expect(await start(here, third)).toMatchObject({ state: 'busy', holder: { run: second.id }, queue: { place: 1 } });
    await here.release(second);
    expect((await start(here, third)).state).not.toBe('busy');
  });

  it('forgets who does not ask again in time, and who was stopped', async () => {
    const here = instance();
    const holder = here.giveLease(here.run());
    const [gone, stopped, last] = [here.run(), here.run(), here.run()];
    await start(here, gone, { queue: { ttl: 0 } });
    await start(here, stopped);
    await start(here, last);
    await here.stop(stopped);
    expect((await start(here, last)).queue).toMatchObject({ place: 1, length: 1 });
    await here.release(holder);
    expect(await start(here, stopped)).toMatchObject({ state: 'refused', reason: 'closed' });
    expect((await start(here, last)).state).not.toBe('busy');
  });

  it('of thirty that ask at once never lets two have it', async () => {
    const here = instance();
    const runs = Array.from({ length: 30 }, () => here.run());
    const states = await Promise.all(runs.map(async (run) => (await start(here, run)).state));
    expect(states.filter((state) => state !== 'busy').length).toBe(1);
    expect(states.filter((state) => state === 'busy').length).toBe(29);
  });
});
