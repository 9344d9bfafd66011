import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Point } from '../../../../core/metrics/point.ts';
import { reduce, SeriesSet, summarize } from '../../../../core/metrics/series.ts';

const point = (step: number, value: number | null, attempt = 1): Point => ({
  ...{ name: 'loss', step, value, attempt, offset: step },
  ...(value === null ? { gap: 'nan' as const } : {}),
});

function seriesOf(points: readonly Point[]) {
  const set = new SeriesSet();
  set.add(points);
  const { name, points: found } = set.all()[0] ?? { name: 'loss', points: [] };
  return { name, points: [...found] };
}

const stepsAndValues = (points: readonly Point[]) =>
  Array.from(seriesOf(points).points, ({ step, value }) => [step, value]);

describe('a series', () => {
  it('is in the order of its steps, with the last value of each', () => {
    expect(stepsAndValues([point(2, 5), point(1, 9), point(2, 4)])).toEqual([
      [1, 9],
      [2, 4],
    ]);
  });

  it('follows a later attempt from its first step on', () => {
    const first = [1, 2, 3, 4, 5].map((step) => point(step, step));
    const second = [3, 4].map((step) => point(step, step * 10, 2));
    expect(stepsAndValues([...first, ...second])).toEqual([
      [1, 1],
      [2, 2],
      [3, 30],
      [4, 40],
    ]);
    expect(stepsAndValues([...first, ...second, point(9, 9, 1)]).at(-1)).toEqual([4, 40]);
  });

  it('is a map of attempt and step: a later attempt replaces all from its first step on, in whatever order points come', async () => {
    const value = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(null));
    const some = fc.record({
      step: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.double({ min: 0, max: 40, noNaN: true })),
      value,
      attempt: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.property(fc.array(some, { maxLength: 200 }), (found) => {
        const points = found.map((one) => point(one.step, one.value, one.attempt));
        const merged = new Map<number, readonly [number | null, number]>();
        for (const attempt of [1, 2, 3, 4]) {
          const own = points.filter((one) => one.attempt === attempt);
          const first = Math.min(...own.map(({ step }) => step));
          for (const step of [...merged.keys()]) if (step >= first) merged.delete(step);
          for (const one of own) merged.set(one.step, [one.value, attempt]);
        }
        const expected = [...merged].sort(([a], [b]) => a - b).map(([step, one]) => [step, ...one]);
        const { points: actual } = seriesOf(points);
        expect(actual.map((one) => [one.step, one.value, one.attempt])).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('keeps of each gap what it is', () => {
    const set = new SeriesSet();
    const gaps = ['nan', 'inf', '-inf'] as const;
    set.add(gaps.map((gap, step) => ({ name: 'loss', step, value: null, gap, attempt: 1 })));
    expect(Array.from(set.all()[0]?.points ?? [], ({ value, gap }) => [value, gap])).toEqual(
      gaps.map((gap) => [null, gap]),
    );
  });

  it('is read by position and in order alike', () => {
    const set = new SeriesSet();
    set.add([3, 1, 2, 3].map((step, index) => point(step, index)));
    set.add([point(3, 9, 2), point(4, null, 2)]);
    const { points = [] } = set.all()[0] ?? {};
    const all = [...points];
    expect(all.map(({ step, value, attempt }) => [step, value, attempt])).toEqual([
      [1, 1, 1],
      [2, 2, 1],
      [3, 9, 2],
      [4, null, 2],
    ]);
    expect(all.map((_, index) => points.at(index))).toEqual(all);
    expect([points.at(-1), points.at(-5), points.at(4)]).toEqual([all[3], undefined, undefined]);
  });

  it('says since when it has no number', () => {
    expect(summarize(seriesOf([point(1, 3), point(2, null), point(3, 1), point(4, null), point(5, null)]))).toEqual({
      ...{ name: 'loss', points: 5, firstStep: 1, last: null, gap: 'nan', lastStep: 5, min: 1, max: 3, gapSince: 4 },
    });
  });
});

describe('reduce', () => {
  it('keeps the ends, the lowest and the highest value, and gaps', async () => {
    const values = fc.array(fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { freq: 20 }), {
      minLength: 1,
      maxLength: 2_000,
    });
    await fc.assert(
      fc.property(values, fc.integer({ min: 10, max: 300 }), (found, most) => {
        const { points } = seriesOf(found.map((value, step) => point(step, value)));
        const reduced = reduce(points, most);
        expect(reduced.length).toBeLessThanOrEqual(most);
        expect([reduced[0], reduced.at(-1)]).toEqual([points[0], points.at(-1)]);
        const before = summarize({ name: 'loss', points });
        const after = summarize({ name: 'loss', points: reduced });
        expect([after.min, after.max]).toEqual([before.min, before.max]);
        expect(reduced.some(({ value }) => value === null)).toBe(points.some(({ value }) => value === null));
        expect(reduced.every(({ step }, index) => index === 0 || step > (reduced[index - 1]?.step ?? 0))).toBe(true);
      }),
    );
  });
});
