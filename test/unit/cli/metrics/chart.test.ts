import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawChart } from '../../../../cli/metrics/chart.ts';
import type { SeriesPoint } from '../../../../core/metrics/series.ts';

const pointsOf = (values: readonly (number | null)[]): SeriesPoint[] =>
  values.map((value, step) => ({ step, value, offset: 0, attempt: 1 }));

describe('a curve in the terminal', () => {
  it('falls from the first value to the last, with its ranges beside it', () => {
    expect(drawChart(pointsOf([4, 3, 2, 1, 0]), { width: 13, height: 2 })).toEqual([
      '4 │⠉⠒⠤⠤⣀⡀⠀⠀⠀⠀',
      '0 │⠀⠀⠀⠀⠀⠈⠑⠒⠤⣀',
      '   0        4',
    ]);
  });

  it('has a hole where a value is not a number', () => {
    const [row] = drawChart(pointsOf([1, 1, null, 1, 1]), { width: 13, height: 1 });
    expect(row).toMatch(/^1 │[^\u2800]+\u2800+[^\u2800]+$/);
  });

  it('is nothing without a number', () => {
    expect(drawChart(pointsOf([null]), { width: 40, height: 4 })).toEqual([]);
    expect(drawChart([], { width: 40, height: 4 })).toEqual([]);
  });

  it('keeps to its size for all numbers', async () => {
    const values = fc.array(fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })), { maxLength: 500 });
    await fc.assert(
      fc.property(values, fc.integer({ min: 40, max: 120 }), fc.integer({ min: 1, max: 12 }), (some, width, height) => {
        const chart = drawChart(pointsOf(some), { width, height });
        if (chart.length > 0) expect(chart).toHaveLength(height + 1);
        for (const row of chart) expect(row.length).toBeLessThanOrEqual(width);
      }),
    );
  });
});
