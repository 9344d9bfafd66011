import { toMessages } from '../logs/batching.ts';
import type { LogCursor, StepContext } from '../workflow/data.ts';

/** Where job logs go. Implemented on CloudWatch Logs in lambdas/adapters/. */
export interface LogStore {
  /** Appends messages, all at one time (epoch ms), in order. */
  put(stream: string, messages: readonly string[], time: number): Promise<void>;
  /** What stands later than this time: UTF-8 bytes of its messages, and the time of the last; that is `time` when nothing does. */
  after(stream: string, time: number): Promise<{ readonly bytes: number; readonly last: number }>;
}

const FULL =
  '[runctl] This job has written maxLogBytes of log. No more of it comes here; the whole log will be kept in S3, beside the manifest of the run.\n';

/**
 * One entry of a state, retries included, in which log is sent. Nothing is lost and nothing doubled when the Lambda dies half-way: all events of it
 * carry one time, later than any before, so a retry reads back what its predecessors wrote and skips as many bytes.
 */
export interface LogVisit {
  /** Of its events, epoch ms. */
  readonly time: number;
  /** UTF-8 bytes, of attempts that died, that stand in the stream for log which has not been taken yet. */
  readonly there: number;
}

/** @param hasLog without any there is nothing to skip, and so nothing to read back */
export async function openVisit(
  logs: LogStore,
  stream: string,
  cursor: LogCursor,
  context: StepContext,
  hasLog: boolean,
): Promise<LogVisit> {
  const time = Math.max(Date.parse(context.enteredAt), cursor.eventTime + 1);
  const unsettled = context.retryCount > 0 || cursor.unsettled !== undefined;
  if (!hasLog || !unsettled) return { time, there: 0 };
  const { bytes, last } = await logs.after(stream, cursor.eventTime);
  // A function that died may have made several visits, each with a later time: what follows comes behind all of them.
  return { time: Math.max(time, last), there: bytes - (cursor.unsettled ?? 0) };
}

/** Log from the cursor on, as messages that do not stand in the stream yet; where the cursor then is, and what is left to skip. */
export function takeLog(
  chunk: Uint8Array,
  { room, final }: { room: number; final: boolean },
  cursor: LogCursor,
  visit: LogVisit,
): { cursor: LogCursor; messages: readonly string[]; visit: LogVisit } {
  if (chunk.length === 0) return { cursor, messages: [], visit };
  const fits = chunk.length <= room;
  const bytes = fits ? chunk : Buffer.concat([chunk.subarray(0, room), Buffer.from(`\n${FULL}`)]);
  const { messages, consumed, textBytes } = toMessages(bytes, { final: final || !fits, skip: visit.there });
  const offset = cursor.offset + (fits ? consumed : room);
  const left = visit.there - textBytes;
  // An attempt before had a longer piece of log than this one: what it wrote reaches into the next piece.
  if (left > 0) {
    const unsettled = (cursor.unsettled ?? 0) + textBytes;
    return { cursor: { ...cursor, offset, unsettled }, messages, visit: { ...visit, there: left } };
  }
  return { cursor: { offset, eventTime: visit.time }, messages, visit: { ...visit, there: 0 } };
}
