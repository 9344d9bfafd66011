import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LONGEST_WAIT, nextWait, POLLS_PER_WATCH } from '../../../core/workflow/poll-timing.ts';

const DAY = 86_400;

describe('nextWait', () => {
  it('does not wait while more log is there', () => {
    fc.assert(
      fc.property(fc.double(), (elapsed) => {
        expect(nextWait(elapsed, true)).toBe(0);
      }),
    );
  });

  it('is a whole number of seconds from 2 to 20 for any duration, clocks that run backwards and NaN included', () => {
    fc.assert(
      fc.property(fc.double(), (elapsed) => {
        const wait = nextWait(elapsed, false);
        expect(Number.isInteger(wait)).toBe(true);
        expect(wait).toBeGreaterThanOrEqual(2);
        expect(wait).toBeLessThanOrEqual(LONGEST_WAIT);
      }),
    );
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -5]) {
      expect(nextWait(odd, false)).toBe(2);
    }
  });

  it('never gets shorter as the job lasts', () => {
    const waits = Array.from({ length: 1000 }, (_, second) => nextWait(second, false));
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect([waits[0], waits[60], waits[200], waits[400]]).toEqual([2, 3, 10, 20]);
  });

  it('costs 180 polls an hour once it lasts, a day within three watches', () => {
    const polls = (duration: number) => {
      let count = 0;
      for (let at = 0; at < duration; at += nextWait(at, false)) count += 1;
      return count;
    };
    expect(polls(2 * DAY) - polls(2 * DAY - 3600)).toBe(180);
    expect(polls(DAY)).toBeLessThan(3 * POLLS_PER_WATCH);
    expect(Math.ceil(polls(7 * DAY) / POLLS_PER_WATCH)).toBeLessThanOrEqual(16);
  });

  it('keeps a watch far from the 25,000 events of an execution', () => {
    const eventsPerPoll = 9;
    expect(POLLS_PER_WATCH * eventsPerPoll).toBeLessThanOrEqual(20_000);
  });
});
