import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';
import { runFileKey } from '../../core/names.ts';
import type { RunStore } from '../runs/store.ts';

/** Written beside the log of a training. */
const TIMES = 'train.times.gz';

/** When a log had how many bytes: [bytes, epoch milliseconds], oldest first, about one a second. */
export type LogTimes = readonly (readonly [number, number])[];

/** The times of an ended training's log, from the copy in S3; null: there are none. */
export async function readLogTimes(
  store: Pick<RunStore, 'open'>,
  runId: string,
  signal: AbortSignal,
): Promise<LogTimes | null> {
  const object = await store.open(runFileKey(runId, TIMES), 0, signal);
  if (!object?.Body) return null;
  const lines = await text((object.Body as Readable).pipe(createGunzip()));
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' ').map(Number) as [number, number]);
}

/**
 * Cuts bytes of a log where its times are, so that each part has the time at which the instance saw it.
 * @param from offset of the first byte
 */
export function* atTheirTimes(
  bytes: Uint8Array,
  from: number,
  times: LogTimes,
): Generator<{ bytes: Uint8Array; at: number }> {
  if (bytes.length === 0) return;
  let done = 0;
  let last = times.at(-1)?.[1] ?? 0;
  for (const [reached, at] of times) {
    if (reached <= from + done) continue;
    const end = Math.min(reached - from, bytes.length);
    yield { bytes: bytes.subarray(done, end), at };
    done = end;
    last = at;
    if (done === bytes.length) return;
  }
  // Written since the last record.
  if (done < bytes.length) yield { bytes: bytes.subarray(done), at: last };
}
