import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type TestInstance, type TestRun, useInstances } from '../support/instance/test-instance.ts';

const instance = useInstances();

describe('the queue', () => {
  const start = (here: TestInstance, run: TestRun, fields: object = {}) =>
    here.start(run, { sync: {} }, { wait: 0, queue: { ttl: 600 }, ...fields });

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

  it('counts the seconds of a ticket since the boot: a clock that is set neither voids it nor keeps it', async () => {
    const here = instance();
    here.giveLease(here.run());
    const [first, second] = [here.run(), here.run()];
    await start(here, first, { queue: { ttl: 1e8 } }); // longer than this machine is up
    const file = join(here.root, 'lease', 'queue', `${first.key}.json`);
    const ticket = JSON.parse(readFileSync(file, 'utf8'));
    const place = async (changes: { uptime?: number; bootId?: string; renewedAt?: number }) => {
      const { renewedAt = ticket.renewedAt, ...renewed } = changes;
      writeFileSync(file, JSON.stringify({ ...ticket, renewedAt, renewed: { ...ticket.renewed, ...renewed } }));
      return (await start(here, second)).queue?.place;
    };
    expect(await place({ renewedAt: 1 })).toBe(2); // the clock was set forward since
    expect(await place({ uptime: -1e9, bootId: 'the boot before' })).toBe(2);
    expect(await place({ renewedAt: 1e12, uptime: -1e9 })).toBe(1); // the clock was set back since
  });

  it('of thirty that ask at once gives it to one after another, in the order in which they came', async () => {
    const here = instance();
    const runs = Array.from({ length: 30 }, () => here.run());
    const asked = await Promise.all(runs.map(async (run) => ({ run, status: await start(here, run) })));
    const served = asked.filter(({ status }) => status.state !== 'busy');
    expect(served).toHaveLength(1);
    const since = ({ status }: (typeof asked)[number]) => status.queue?.since ?? 0;
    const waiting = asked
      .filter(({ status }) => status.state === 'busy')
      .sort((a, b) => since(a) - since(b) || (a.run.id < b.run.id ? -1 : 1))
      .map(({ run }) => run);
    expect(waiting).toHaveLength(29);
    let holder = served[0]?.run as TestRun;
    const last = waiting.at(-1) as TestRun;
    for (const next of waiting.slice(0, -1)) {
      await here.release(holder);
      const [tooEarly, got] = await Promise.all([start(here, last), start(here, next)]);
      expect(got.state).not.toBe('busy');
      expect(tooEarly.state).toBe('busy');
      holder = next;
    }
    await here.release(holder);
    expect((await start(here, last)).state).not.toBe('busy');
  });
});
