import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Waiting } from '../../../core/workflow/data.ts';
import { isOverdue, queueWait, ticketLife, waitForInstance } from '../../../core/workflow/queue-wait.ts';
import { jobStep } from '../../support/fakes/samples.ts';

const HOUR = 3_600;
const DAY = 24 * HOUR;
const busy = jobStep('sync', { state: 'busy', holder: { run: 'other', arn: 'arn:other', since: 1 } });
const clearing = { arn: 'arn:other', since: 1_000 };

function wait(
  spec: { ifBusy?: 'queue' | 'skip' | 'refuse'; maxWait?: number },
  now: number,
  previous: Partial<Waiting> | null = null,
  clearingNow: Waiting['clearing'] = null,
) {
  const before = previous && { since: 1_000, over: null, clearing: null, ...previous };
  const about = { spec: { ifBusy: 'queue', maxWait: DAY, ...spec } as const, now, clearing: clearingNow };
  return waitForInstance(busy, before, about);
}

describe('a run that found the instance busy', () => {
  it("waits from its first poll, and keeps the instance's details", () => {
    expect(wait({}, 1_000)).toEqual({ ...busy, wait: 2, waiting: { since: 1_000, over: null, clearing: null } });
    expect(wait({}, 1_300, {}).waiting).toEqual({ since: 1_000, over: null, clearing: null });
  });

  it.each(['skip', 'refuse'] as const)('%s: does not wait for a holder that runs', (ifBusy) => {
    expect(wait({ ifBusy }, 1_000).waiting?.over).toBe(ifBusy);
  });

  it.each(['skip', 'refuse'] as const)('%s: waits for a clean-up, not for whoever comes after it', (ifBusy) => {
    expect(wait({ ifBusy }, 1_000, null, clearing).waiting).toEqual({ since: 1_000, over: null, clearing });
    expect(wait({ ifBusy }, 1_060, { clearing }, null).waiting?.over).toBe(ifBusy);
  });

  it('polls a last time at maxWait, then gives up', () => {
    const spec = { maxWait: 100 };
    expect(wait(spec, 1_099, {})).toMatchObject({ wait: 1, waiting: { over: null } });
    expect(wait(spec, 1_100, {}).waiting?.over).toBe('max-wait');
    expect(wait({ maxWait: 0 }, 1_000).waiting?.over).toBe('max-wait');
  });

  it('never polls later than the end of its waiting time, and never at once', () => {
    const property = fc.property(
      fc.integer({ min: 1, max: 30 * DAY }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (maxWait, part) => {
        const waited = Math.floor(part * (maxWait - 1));
        const step = wait({ maxWait }, 1_000 + waited, {});
        expect(step.wait).toBeGreaterThanOrEqual(1);
        expect(waited + step.wait).toBeLessThanOrEqual(maxWait + 1);
        expect(Number.isInteger(step.wait)).toBe(true);
      },
    );
    fc.assert(property);
  });
});

describe('the time between two polls', () => {
  it('grows from 2 s to a minute', () => {
    expect([0, 20, 100, 600, 10_000].map((waited) => queueWait(waited, DAY))).toEqual([2, 2, 10, 60, 60]);
  });

  it('leaves room in the history however long maxWait is: a poll is 9 events of 25,000', () => {
    for (const maxWait of [HOUR, DAY, 7 * DAY, 30 * DAY]) {
      let looks = 0;
      for (let waited = 0; waited < maxWait; waited += queueWait(waited, maxWait)) looks += 1;
      expect(looks * 9, `${maxWait} s`).toBeLessThan(14_000);
    }
  });

  it('is borne by the ticket several times over, with ten minutes of trouble', () => {
    for (const maxWait of [1, HOUR, DAY, 30 * DAY]) {
      const longest = queueWait(maxWait, maxWait);
      expect(ticketLife(maxWait)).toBeGreaterThanOrEqual(2 * longest + 600);
      expect(Number.isInteger(ticketLife(maxWait))).toBe(true);
    }
  });
});

describe('a clean-up', () => {
  it('has its time: the longest grace, and the outputs', () => {
    expect(isOverdue(null, 9e9)).toBe(false);
    expect(isOverdue(clearing, clearing.since + 600)).toBe(false);
    expect(isOverdue(clearing, clearing.since + 1_201)).toBe(true);
  });
});
