import { SegmentSplitter } from '../metrics/segments.ts';
import type { OpenFile } from './files.ts';
import { gunzipped } from './gunzip.ts';

/**
 * The JSON objects in the lines of a gzipped file, as many at a time as a chunk of it has; none when there is no such file. What is not
 * an object is left out: the last line of a process that was killed, or one of more than 4 KB.
 */
export async function* readObjects(open: OpenFile, name: string, sha256: string | null = null) {
  const gzip = await open(name);
  if (gzip === null) return;
  const splitter = new SegmentSplitter();
  for await (const chunk of gunzipped(gzip, { sha256 })) yield splitter.push(chunk).flatMap(toObject);
  yield splitter.end().flatMap(toObject);
}

function toObject({ text }: { readonly text: string }): object[] {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? [value] : [];
  } catch {
    return [];
  }
}
