import { describe, expect, it } from 'vitest';
import type { Starting } from '../../../core/workflow/data.ts';
import { BOOT_S, isBooting, type StartPorts, startInstance, startWait } from '../../../core/workflow/start-instance.ts';
import { foundInstance } from '../../support/fakes/samples.ts';

type Refusal = Awaited<ReturnType<StartPorts['start']>>;
const full: Refusal = { kind: 'no-capacity', message: 'InsufficientInstanceCapacity: none' };
const one = (state: string, reason: string | null = null) => ({ ...foundInstance, state, reason });
const earlier = (changes: Partial<Starting> = {}): Starting => ({
  id: foundInstance.id,
  kind: 'booting',
  message: 'm',
  since: 1_000,
  wait: 5,
  starts: 1,
  ...changes,
});

/** A visit, `at` seconds. */
function visit(
  instance: typeof foundInstance,
  { at = 1_000, last = null as Starting | null, refusal = null as Refusal, maxWait = 3_600 } = {},
) {
  const started: string[] = [];
  const start = (id: string) => {
    started.push(id);
    return Promise.resolve(refusal);
  };
  return { next: startInstance({ start, now: () => at * 1_000 }, instance, { maxWait }, last), started };
}

describe('an instance that a run waits for', () => {
  it('is started when it is stopped, and then looked at until it runs', async () => {
    const { next, started } = visit(one('stopped'));
    expect(await next).toMatchObject({ kind: 'booting', starts: 1, since: 1_000, wait: 5 });
    expect(started).toEqual([foundInstance.id]);
    const later = visit(one('pending'), { at: 1_010, last: await next });
    expect(await later.next).toMatchObject({ kind: 'booting', starts: 1, since: 1_000 });
    expect(later.started).toEqual([]);
  });

  it('is not started while it stops: the run waits for the next boot', async () => {
    const { next, started } = visit(one('stopping'));
    expect(await next).toMatchObject({ kind: 'stopping', starts: 0 });
    expect(started).toEqual([]);
    const raced = visit(one('stopped'), { refusal: { kind: 'changed', message: 'x' } });
    expect(await raced.next).toMatchObject({ kind: 'stopping', starts: 0 });
  });

  it('without capacity is asked for again within maxWait, and then named', async () => {
    const first = await visit(one('stopped'), { refusal: full }).next;
    expect(first).toMatchObject({ kind: 'no-capacity', wait: 15, starts: 0 });
    expect(first.message).toContain('InsufficientInstanceCapacity');
    expect(first.message).toContain('g5.xlarge in eu-central-1a');
    expect(await visit(one('stopped'), { refusal: full, last: first, at: 4_590 }).next).toMatchObject({ wait: 10 });
    const late = visit(one('stopped'), { refusal: full, last: first, at: 4_600 });
    await expect(late.next).rejects.toMatchObject({ name: 'NoCapacity' });
    expect(late.started).toHaveLength(1);
  });

  it('of which EC2 finds out late that it has no capacity is asked for again, too', async () => {
    const reason = 'Server.InsufficientInstanceCapacity';
    const { next } = visit(one('stopped', reason), { last: earlier({ starts: 7 }), at: 1_100 });
    expect(await next).toMatchObject({ kind: 'no-capacity', starts: 8 });
  });

  it('that stops after each start, or that EC2 refuses, is named with the reason', async () => {
    const failing = (starts: number) => visit(one('stopped', 'Client.InternalError'), { last: earlier({ starts }) });
    expect(await failing(2).next).toMatchObject({ kind: 'booting', starts: 3 });
    const last = failing(3);
    await expect(last.next).rejects.toMatchObject({
      name: 'InstanceStartFailed',
      message: expect.stringContaining('Client.InternalError'),
    });
    expect(last.started).toEqual([]);
    const refusal: Refusal = { kind: 'other', message: 'UnsupportedOperation: x' };
    await expect(visit(one('stopped'), { refusal }).next).rejects.toMatchObject({ name: 'InstanceStartFailed' });
  });

  it('has the time of a boot even when maxWait is shorter, and not more', async () => {
    const wait = (state: string, at: number) => visit(one(state), { at, last: earlier(), maxWait: 1 }).next;
    expect(await wait('pending', 1_000 + BOOT_S - 1)).toMatchObject({ wait: 1 });
    await expect(wait('pending', 1_000 + BOOT_S)).rejects.toMatchObject({ name: 'AgentOffline' });
    await expect(wait('stopping', 1_000 + BOOT_S)).rejects.toMatchObject({ name: 'InstanceNotRunning' });
  });

  it('may have its agent offline as long as a boot takes', () => {
    expect(isBooting({ startedAt: 0 }, BOOT_S * 1_000 - 1)).toBe(true);
    expect(isBooting({ startedAt: 0 }, BOOT_S * 1_000)).toBe(false);
    expect(isBooting({ startedAt: null }, 0)).toBe(false);
  });

  it('takes a small part of the 25,000 events of a history, even in a month', () => {
    let visits = 0;
    for (let waited = 0; waited < 30 * 86_400; visits += 1) waited += startWait(waited, 'no-capacity');
    // A month in the queue takes 1,440 visits, and a month of training 700 events (core/workflow/queue-wait.ts, bench/history-events.ts).
    expect((visits + 1_440) * 9 + 700).toBeLessThan(20_000);
  });
});
