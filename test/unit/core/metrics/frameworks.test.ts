import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MetricsParser } from '../../../../core/metrics/parser.ts';
import { SeriesSet } from '../../../../core/metrics/series.ts';

const FOLDER = new URL('../../../fixtures/metrics/', import.meta.url);

type Reference = readonly [name: string, step: number, value: number | string];

function casesOf(folder: URL): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length));
}

function pointsOf(text: Uint8Array): Reference[] {
  const parser = new MetricsParser();
  const series = new SeriesSet();
  series.add(parser.push(text));
  series.add(parser.end());
  return series
    .all()
    .flatMap(({ name, points }) =>
      Array.from(points, ({ step, value, gap }): Reference => [name, step, value ?? gap ?? 'nothing']),
    );
}

const byNameAndStep = (a: Reference, b: Reference) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1]);

/** A log rounds: it has as many digits as the framework prints, four at least. */
function expectPrinted(found: Reference[], reference: Reference[]): void {
  const [sorted, expected] = [found.sort(byNameAndStep), reference.sort(byNameAndStep)];
  expect(sorted.map(([name, step]) => `${name} @ ${step}`)).toEqual(
    expected.map(([name, step]) => `${name} @ ${step}`),
  );
  for (const [index, [name, step, value]] of sorted.entries()) {
    const real = expected[index]?.[2];
    if (typeof real !== 'number') expect(value, `${name} @ ${step}`).toBe(real);
    else expect(Math.abs(Number(value) - real), `${name} @ ${step}`).toBeLessThanOrEqual(6e-5);
  }
}

for (const folder of ['', 'documented/']) {
  describe(folder === '' ? 'logs of frameworks that were run' : 'logs after the documentation of their format', () => {
    const files = new URL(folder, FOLDER);
    it.each(casesOf(files))('%s: finds the points of the reference, and no other', (name) => {
      const reference = JSON.parse(readFileSync(new URL(`${name}.json`, files), 'utf8')) as Reference[];
      expectPrinted(pointsOf(readFileSync(new URL(`${name}.txt`, files))), reference);
    });
  });
}
