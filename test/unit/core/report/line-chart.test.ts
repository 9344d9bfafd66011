// biome-ignore-all lint/suspicious/noControlCharactersInRegex: what must not be in a document
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CHART_STYLE } from '../../../../core/report/chart-style.ts';
import { lineChart } from '../../../../core/report/line-chart.ts';
import { elements } from '../../../support/markup.ts';

const steps = (values: readonly (number | null)[]) => values.map((value, step) => ({ step, value }));
const chart = (values: readonly (number | null)[], options = {}) =>
  lineChart([{ label: 'loss', points: steps(values) }], { title: 'loss', ...options });
/** The labels of an axis or a legend. */
const texts = (svg: string) => elements(svg, 'text').map(({ text }) => text);
const curves = (svg: string) => elements(svg, 'path').filter(({ attributes }) => attributes.class?.startsWith('line'));

describe('a line chart', () => {
  it('has round numbers at its axes', () => {
    const svg = chart([0, 0.31, 0.62, 0.93]);
    expect(texts(svg)).toEqual(['0', '0.2', '0.4', '0.6', '0.8', '0', '1', '2', '3']);
  });

  it('breaks its line at a gap, marks the gap, and draws a value between gaps as a dot', () => {
    const svg = chart([1, 2, null, 5, null, 3, 4]);
    expect(curves(svg)[0]?.attributes.d?.match(/M/g)).toHaveLength(3);
    expect(svg.match(/class="gap" d="([^"]*)"/)?.[1]?.match(/M/g)).toHaveLength(2);
    expect(svg).toContain('2 not a number');
  });

  it('is logarithmic where a linear axis would show most values as one line', () => {
    const falling = Array.from({ length: 40 }, (_, step) => 10 ** (2 - step / 8));
    expect(texts(chart(falling))).toEqual(expect.arrayContaining(['100', '1', '0.01']));
    expect(texts(chart(falling, { scale: 'linear' }))).not.toContain('0.01');
    expect(texts(chart([...falling, 0]))).not.toContain('0.01');
    expect(texts(chart([0.9, 0.5, 0.4, 0.1]))).not.toContain('0.01');
  });

  it('counts times from the first', () => {
    const points = [0, 1, 2, 3].map((hour) => ({ time: 1_790_000_000_000 + hour * 3_600_000, value: hour * 30 }));
    const svg = lineChart([{ label: 'CPU', points }], { title: 'CPU', unit: '%', range: [0, 100] });
    expect(texts(svg)).toEqual([
      '0%',
      '20%',
      '40%',
      '60%',
      '80%',
      '100%',
      '0',
      '0.5 h',
      '1 h',
      '1.5 h',
      '2 h',
      '2.5 h',
      '3 h',
    ]);
    const later = lineChart([{ label: 'CPU', points }], { title: 'CPU', origin: 1_790_000_000_000 - 3_600_000 });
    expect(texts(later)).toContain('4 h');
  });

  it('says in words what it shows', () => {
    expect(elements(chart([3, 1, 2]), 'desc')[0]?.text).toBe('loss: last 2, lowest 1, highest 3.');
    expect(elements(chart([3, 1, 2]), 'title')[0]?.text).toBe('loss');
    expect(texts(chart([]))).toEqual(['No values yet']);
    expect(texts(chart([null]))).toEqual(['No values yet']);
  });

  it('names several series in a legend, and tells more of them apart than there are colors', () => {
    const series = Array.from({ length: 30 }, (_, index) => ({ label: `run-${index}`, points: steps([1, index]) }));
    const svg = lineChart(series, { title: 'loss' });
    expect(texts(svg)).toEqual(expect.arrayContaining(series.map(({ label }) => label)));
    expect(new Set(curves(svg).map(({ attributes }) => attributes.class)).size).toBe(30);
  });

  it('draws a million points with few', () => {
    const many = Array.from({ length: 1_000_000 }, (_, step) => Math.sin(step / 50_000));
    many[123_456] = 7;
    const svg = chart(many);
    expect(svg.length).toBeLessThan(6_000);
    expect(svg).toContain('highest 7');
    const top = Math.min(...heights(svg));
    expect(top).toBeCloseTo(8, 0);
  });

  it('has a dark and a light form', () => {
    expect(CHART_STYLE).toContain('prefers-color-scheme:dark');
    expect(CHART_STYLE).not.toMatch(/url\(|@import|</);
  });
});

/** The vertical places of the points of the curves. */
function heights(svg: string): number[] {
  const plotted = curves(svg).filter(({ attributes }) => !attributes.d?.endsWith('h20'));
  return plotted.flatMap(({ attributes }) => {
    const found: number[] = [];
    let y = 0;
    for (const [, command, numbers = ''] of (attributes.d ?? '').matchAll(/([MlhvH])([^MlhvH]*)/g)) {
      const second = Number(numbers.match(/-?(?:\d+\.?\d*|\.\d+)/g)?.[1] ?? 0);
      if (command === 'M') y = second;
      if (command === 'l') y += second;
      found.push(y);
    }
    return found;
  });
}

const anyValue = fc.oneof(fc.double(), fc.constant(null), fc.constantFrom(1e308, -1e308, 5e-324, 0, -0, 1e16));
const anySeries = fc.record({
  label: fc.string({ unit: 'binary', maxLength: 80 }),
  points: fc
    .array(fc.record({ step: fc.double(), value: anyValue }), { maxLength: 60 })
    .map((points) => points.sort((a, b) => a.step - b.step)),
});

it.each([1e308, Number.MAX_VALUE, 5e-324])('a series of %d alone is drawn on a logarithmic axis', (value) => {
  const points = [0, 1].map((step) => ({ step, value }));
  expect(lineChart([{ label: 'x', points }], { title: 'x', scale: 'log' })).toContain('<path');
});

describe('a chart of any series', () => {
  it('is well-formed, has finite numbers within its frame, and nothing of a label as markup', async () => {
    await fc.assert(
      fc.property(fc.array(anySeries, { maxLength: 4 }), fc.constantFrom('auto', 'linear', 'log'), (series, scale) => {
        const svg = lineChart(series, { title: '<script>"&\'', scale: scale as 'auto' });
        for (const { name } of elements(svg)) expect(ALLOWED).toContain(name);
        for (const { attributes } of elements(svg)) {
          for (const name of ['d', 'x', 'y', 'viewBox'])
            expect(attributes[name] ?? '').not.toMatch(/NaN|Infinity|undefined|e/);
        }
        for (const y of heights(svg)) {
          expect(y).toBeGreaterThan(7);
          expect(y).toBeLessThan(300);
        }
        expect(svg).not.toMatch(/[\0-\x08\x0e-\x1f\u202e]/);
      }),
      { numRuns: 150 },
    );
  });
});

const ALLOWED = new Set(['svg', 'title', 'desc', 'g', 'path', 'text']);
