import * as z from 'zod/mini';
import { type Series, SeriesSet } from '../metrics/series.ts';
import { METRICS_FILE, type OpenFile } from './files.ts';
import { readObjects } from './lines.ts';
import { pointLine, toPoint } from './point-line.ts';

/** Characters that are handed on at once. */
const BATCH = 64 * 1024;

/** A line of `metrics.jsonl.gz`. */
const storedPoint = z.extend(pointLine, { attempt: z.int().check(z.positive()) });

/** The lines of `metrics.jsonl`: series by series, each in the order of its steps. */
export function* storedLines(all: readonly Series[]): Generator<Buffer> {
  let text = '';
  for (const { name, points } of all) {
    const start = `{"name":${JSON.stringify(name)},"step":`;
    for (const { step, value, gap, attempt } of points) {
      text += `${start}${step},"value":${value}${gap === undefined ? '' : `,"gap":"${gap}"`},"attempt":${attempt}}\n`;
      if (text.length < BATCH) continue;
      yield Buffer.from(text);
      text = '';
    }
  }
  if (text !== '') yield Buffer.from(text);
}

/** @throws DigestMismatch when the file is another one */
export async function readStoredPoints(open: OpenFile, sha256: string): Promise<SeriesSet> {
  const series = new SeriesSet();
  for await (const objects of readObjects(open, METRICS_FILE, sha256)) {
    for (const object of objects) {
      const point = z.safeParse(storedPoint, object).data;
      if (point !== undefined) series.add([toPoint(point)]);
    }
  }
  return series;
}
