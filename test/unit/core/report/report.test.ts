import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Series } from '../../../../core/metrics/series.ts';
import { type Manifest, readManifest } from '../../../../core/outcome/manifest-schema.ts';
import { argValues, comparison } from '../../../../core/report/comparison.ts';
import { runReport } from '../../../../core/report/report.ts';
import { usageCharts } from '../../../../core/report/usage.ts';
import { usageSample } from '../../../support/fakes/samples.ts';
import { elements } from '../../../support/markup.ts';

function manifest(changes: object = {}): Manifest {
  const run = {
    id: 'digits-1',
    arn: 'arn',
    startedAt: '2026-11-26T10:00:00Z',
    endedAt: '2026-11-26T11:00:00Z',
    seconds: 3_600,
  };
  const base = { version: 1, run, outcome: 'succeeded', message: 'The training ended.', next: 'Nothing.' };
  const spec = { project: 'digits', script: 'train.py', args: ['--lr', '0.1'] };
  const found = readManifest(JSON.stringify({ ...base, spec, exitCode: 0, ...changes }));
  if (found === null) throw new Error('not a manifest');
  return found;
}

function series(name: string, values: readonly (number | null)[]): Series {
  return { name, points: values.map((value, step) => ({ step, value, offset: 0, attempt: 1 })) };
}

const textOf = (html: string) => elements(html, 'body')[0]?.text ?? '';

describe('a report of a run', () => {
  it('says what its instance cost, and a comparison too', () => {
    const instance = { usd: 1.5, seconds: 1_500, usdPerHour: 3.6, source: 'table', at: '2025-11-30T00:00:00Z' };
    const run = (cost: object) => ({
      manifest: manifest({ spec: { maxCost: 5 }, cost: { usd: 0.01, note: 'n', ...cost } }),
      series: [],
      usage: [],
    });
    expect(textOf(runReport(run({ instance })))).toContain(
      "about $1.50 of maxCost ($5): 25 min 00 s of the instance at $3.6 an hour (list price of runctl's table of 2025-11-30)",
    );
    expect(textOf(runReport(run({})))).not.toContain('instance cost');
    const compared = textOf(comparison([run({ instance }), run({ instance: { ...instance, usd: 0.05 } })]));
    expect(compared).toMatch(/instance cost.*\$1\.50.*\$0\.05/s);
  });

  it('begins with the headline metrics of the spec, as a comparison does', () => {
    const spec = { headline: ['score', 'acc'] };
    const run = {
      manifest: manifest({ spec }),
      series: ['loss', 'acc', 'score'].map((name) => series(name, [1, 2])),
      usage: [],
    };
    for (const html of [runReport(run), comparison([run, run])])
      expect(elements(html, 'h3').map(({ text }) => text)).toEqual(['score', 'acc', 'loss']);
  });

  it('answers where the loss is, whether the GPU was busy, what it cost, and why it failed', () => {
    const text = textOf(
      runReport({
        manifest: manifest({
          outcome: 'failed',
          message: 'The script exited with code 3.',
          next: 'Read the last lines.',
          exitCode: 3,
          lastLines: ['Traceback', 'ValueError: no data'],
          cost: { usd: 0.0123, note: 'n' },
          states: [{ name: 'Watch training', entered: 4, seconds: 3_000 }],
          packages: { torch: '2.9.1' },
        }),
        series: [series('acc', [0.1, 0.5]), series('loss', [2, 0.25])],
        usage: usageCharts([usageSample(), usageSample({ time: 20 })]),
      }),
    );
    for (const part of [
      'failed',
      'The script exited with code 3.',
      'Read the last lines.',
      'ValueError: no data',
      '$0.0123',
    ])
      expect(text).toContain(part);
    expect(text).toContain('last 0.25 at step 1, min 0.25, max 2');
    expect(text.indexOf('loss'), 'losses come first').toBeLessThan(text.indexOf('acc'));
    for (const part of ['GPU utilization', 'Memory', 'Watch training', 'torch==2.9.1', '--lr 0.1'])
      expect(text).toContain(part);
  });

  it('loads nothing and runs nothing', () => {
    const html = runReport({ manifest: manifest(), series: [series('loss', [1])], usage: [] });
    const [policy] = elements(html, 'meta').filter(({ attributes }) => attributes['http-equiv']);
    expect(policy?.attributes.content).toBe("default-src 'none'; style-src 'unsafe-inline'");
    const names = new Set(elements(html).map(({ name }) => name));
    for (const name of ['script', 'link', 'img', 'iframe', 'a', 'form', 'object']) expect(names).not.toContain(name);
    const attributes = elements(html).flatMap((element) => Object.keys(element.attributes));
    expect(attributes.filter((name) => /^on|^href$|^src$/.test(name))).toEqual([]);
  });

  it('says since when a loss is not a number', () => {
    const broken = {
      ...series('loss', [1, null]),
      points: [
        { step: 0, value: 1, offset: 0, attempt: 1 },
        { step: 7, value: null, gap: 'nan', offset: 0, attempt: 1 },
      ],
    } as Series;
    expect(textOf(runReport({ manifest: manifest(), series: [broken], usage: [] }))).toContain('nan since step 7');
  });

  it('is well-formed and has texts as texts, whatever they hold', () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('</style><script>alert(1)</script>', '"><img src=x onerror=1>', '&lt;', '\u202e'),
    );
    fc.assert(
      fc.property(hostile, hostile, (one, other) => {
        const html = runReport({
          manifest: manifest({
            message: one,
            lastLines: [other],
            warnings: [one],
            packages: { [other]: one },
            spec: { name: one, args: [other], script: other },
            states: [{ name: one, entered: 1, seconds: 1 }],
          }),
          series: [series(one, [1, 2])],
          usage: [],
        });
        expect(elements(html, 'script')).toEqual([]);
        expect(elements(html, 'img')).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });

  it('has at most 500 KB for 64 metrics, however many points they have', () => {
    const size = (points: number) => {
      const values = Array.from({ length: points }, (_, step) => Math.sin(step * 12.9898) * 43_758);
      const all = Array.from({ length: 64 }, (_, index) => series(`metric_${index}`, values));
      return Buffer.byteLength(runReport({ manifest: manifest(), series: all, usage: [] }));
    };
    expect(size(20_000)).toBeLessThan(500_000);
    expect(size(40_000)).toBeLessThan(500_000);
  });
});

describe('a comparison of runs', () => {
  it('has what differs, and the curves of all in one chart of each metric', () => {
    const other = manifest({
      run: { ...manifest().run, id: 'digits-2' },
      spec: { project: 'digits', script: 'train.py', args: ['--lr=0.2'] },
    });
    const html = comparison([
      { manifest: manifest(), series: [series('loss', [1, 0.5])], usage: [] },
      { manifest: other, series: [series('loss', [1, 0.25])], usage: [] },
    ]);
    const rows = elements(html, 'tr').map(({ text }) => text);
    expect(rows).toEqual(['digits-1digits-2', 'args.lr0.10.2', 'metric.loss0.50.25']);
    expect(elements(html, 'svg').length).toBe(1);
    expect(elements(html, 'path').filter(({ attributes }) => attributes.class?.startsWith('line')).length).toBe(4);
  });
});

it('arguments are read as names and values', () => {
  expect(argValues(['--lr', '0.1', '--epochs=3', '--amp', '-n', '4', 'data', '--shift', '-1'])).toEqual({
    lr: '0.1',
    epochs: '3',
    amp: 'true',
    n: '4',
    0: 'data',
    shift: '-1',
  });
  expect(argValues(null)).toEqual({});
});
