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
  return set.all()[0] ?? { name: 'loss', points: [] };
}

const stepsAndValues = (points: readonly Point[]) => seriesOf(points).points.map(({ step, value }) => [step, value]);

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

  it('says since when it has no number', () => {
    expect(summarize(seriesOf([point(1, 3), point(2, null), point(3, 1), point(4, null), point(5, null)]))).toEqual({
      ...{ name: 'loss', points: 5, last: null, gap: 'nan', lastStep: 5, min: 1, max: 3, gapSince: 4 },
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
