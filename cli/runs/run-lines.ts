import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';
import { runFileKey } from '../../core/names.ts';
import type { RunStore } from './store.ts';

export type LineStore = Pick<RunStore, 'open'>;

/** The lines of a gzipped file that a run left in the bucket, without empty ones; null: it has no such file. */
export async function readRunLines(
  store: LineStore,
  runId: string,
  name: string,
  signal: AbortSignal,
): Promise<string[] | null> {
  const object = await store.open(runFileKey(runId, name), 0, signal);
  if (!object?.Body) return null;
  const whole = await text((object.Body as Readable).pipe(createGunzip()));
  return whole.split('\n').filter((line) => line !== '');
}
