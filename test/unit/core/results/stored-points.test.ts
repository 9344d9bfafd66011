import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Point } from '../../../../core/metrics/point.ts';
import { SeriesSet } from '../../../../core/metrics/series.ts';
import { readStoredPoints, storedLines } from '../../../../core/results/stored-points.ts';
import { sha256 } from '../../../support/fakes/run-results.ts';

async function* once(bytes: Uint8Array) {
  yield bytes;
}

const read = async (gzip: Uint8Array) => await readStoredPoints(async () => once(gzip), sha256(gzip));
const plain = (set: SeriesSet) => set.all().map(({ name, points }) => [name, [...points]]);

describe('stored points', () => {
  it('are what they were, for all names, numbers, gaps and attempts', async () => {
    const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
    const measured = fc.oneof(
      fc.record({ value: finite }),
      fc.record({ value: fc.constant(null), gap: fc.constantFrom('nan', 'inf', '-inf') }),
    );
    const point = fc.tuple(
      fc.record({
        name: fc.stringMatching(/^[A-Za-z0-9_./@-][A-Za-z0-9_./@ -]{0,20}[A-Za-z0-9_./@-]$/),
        step: finite,
        attempt: fc.integer({ min: 1, max: 3 }),
      }),
      measured,
    );
    await fc.assert(
      fc.asyncProperty(fc.array(point, { maxLength: 100 }), async (found) => {
        const set = new SeriesSet();
        set.add(found.map(([one, value]) => ({ ...one, ...value }) as Omit<Point, 'offset'>));
        const gzip = gzipSync(Buffer.concat([...storedLines(set.all())]));
        expect(plain(await read(gzip))).toEqual(plain(set));
      }),
    );
  });

  it('are handed on in pieces, however many there are', async () => {
    const set = new SeriesSet();
    set.add(Array.from({ length: 50_000 }, (_, step) => ({ name: 'loss', step, value: step / 7, attempt: 1 })));
    const pieces = [...storedLines(set.all())];
    expect(pieces.length).toBeGreaterThan(10);
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(70_000);
    expect(plain(await read(gzipSync(Buffer.concat(pieces))))).toEqual(plain(set));
  });

  it('of another file are refused', async () => {
    await expect(readStoredPoints(async () => once(gzipSync('')), sha256(Buffer.from('x')))).rejects.toThrow('SHA-256');
  });
});
