import { jobOfAttempt } from '../../core/names.ts';
import { type LineStore, readRunLines } from '../runs/run-lines.ts';
import type { ByteFeed } from './byte-feed.ts';

/** Written beside the log of a training. */
const timesFile = (attempt: number) => `${jobOfAttempt('train', attempt)}.times.gz`;

/** When a log had how many bytes: [bytes, epoch milliseconds], oldest first, about one a second. */
export type LogTimes = readonly (readonly [number, number])[];

/** The times of an ended training's log, from the copy in S3; null: there are none. */
export async function readLogTimes(
  store: LineStore,
  { runId, attempt }: { readonly runId: string; readonly attempt: number },
  signal: AbortSignal,
): Promise<LogTimes | null> {
  const lines = await readRunLines(store, runId, timesFile(attempt), signal);
  return lines?.map((line) => line.split(' ').map(Number) as [number, number]) ?? null;
}

/** Passes a stored log to a feed, from byte `from` on, each part with its time; null: they are not known. */
export async function pushTimed(
  chunks: AsyncIterable<Uint8Array>,
  feed: Pick<ByteFeed, 'push'>,
  { from, times }: { readonly from: number; readonly times: LogTimes | null },
  signal: AbortSignal,
): Promise<void> {
  const latest = times?.at(-1)?.[1] ?? Date.now();
  let at = 0;
  for await (const chunk of chunks) {
    const skipped = Math.min(Math.max(0, from - at), chunk.length);
    const rest = chunk.subarray(skipped);
    const parts = times ? atTheirTimes(rest, at + skipped, times, latest) : [{ bytes: rest, at: Date.now() }];
    for (const part of parts) await feed.push(part.bytes, part.at, signal);
    at += chunk.length;
  }
}

/**
 * Cuts bytes of a log where its times are, so that each part has the time at which the instance saw it.
 * @param from offset of the first byte
 * @param latest time of what was written since the last record, epoch milliseconds
 */
export function* atTheirTimes(
  bytes: Uint8Array,
  from: number,
  times: LogTimes,
  latest: number,
): Generator<{ bytes: Uint8Array; at: number }> {
  if (bytes.length === 0) return;
  let done = 0;
  for (let index = firstBehind(times, from); index < times.length; index += 1) {
    const [reached, at] = times[index] ?? [0, 0];
    if (reached <= from + done) continue;
    const end = Math.min(reached - from, bytes.length);
    yield { bytes: bytes.subarray(done, end), at };
    done = end;
    if (done === bytes.length) return;
  }
  if (done < bytes.length) yield { bytes: bytes.subarray(done), at: latest };
}

/** The index of the first record behind an offset: a log of a week has 600,000. */
function firstBehind(times: LogTimes, offset: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle]?.[0] ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
