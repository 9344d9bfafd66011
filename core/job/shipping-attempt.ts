import { toMessages } from '../logs/batching.ts';
import type { LogCursor, StepContext } from '../workflow/data.ts';

/** Where job logs go. Implemented on CloudWatch Logs in aws/log-store.ts. */
export interface LogStore {
  /** Appends messages, all at one time (epoch ms), in order. */
  put(stream: string, messages: readonly string[], time: number): Promise<void>;
  /** What the stream has later than this time: UTF-8 bytes of its messages, and the time of the last; that is `time` when there is nothing. */
  after(stream: string, time: number): Promise<{ readonly bytes: number; readonly last: number }>;
}

const FULL =
  '[runctl] This job has written maxLogBytes of log. The rest is not sent to CloudWatch; the whole log is stored in S3 when the run ends.\n';

/**
 * Sending log during one visit of a state, retries included. Nothing is lost or doubled when the function is killed half-way: all its
 * events have one time, later than any before, so a retry reads back what earlier attempts wrote and skips as many bytes.
 */
export interface ShippingAttempt {
  /** Of its events, epoch ms. */
  readonly time: number;
  /** UTF-8 bytes that earlier attempts wrote to the stream for log behind the cursor. */
  readonly written: number;
}

/** @param hasLog when false there is nothing to skip, and so nothing to read back */
export async function openAttempt(
  logs: LogStore,
  stream: string,
  cursor: LogCursor,
  context: StepContext,
  hasLog: boolean,
): Promise<ShippingAttempt> {
  const time = Math.max(Date.parse(context.enteredAt), cursor.eventTime + 1);
  const unsettled = context.retryCount > 0 || cursor.unsettled !== undefined;
  if (!hasLog || !unsettled) return { time, written: 0 };
  const { bytes, last } = await logs.after(stream, cursor.eventTime);
  // A function that was killed may have visited several times, each with a later time: new events come behind all of them.
  return { time: Math.max(time, last), written: bytes - (cursor.unsettled ?? 0) };
}

/** The cursor of a poll that sent no log: it remembers that earlier attempts of the state may have sent some. */
export function keepUnsettled(cursor: LogCursor, context: StepContext): LogCursor {
  return context.retryCount > 0 ? { ...cursor, unsettled: cursor.unsettled ?? 0 } : cursor;
}

/** Log from the cursor on, as messages that the stream does not have yet; the new cursor, and the attempt for the next chunk. */
export function nextMessages(
  chunk: Uint8Array,
  { room, final }: { room: number; final: boolean },
  cursor: LogCursor,
  attempt: ShippingAttempt,
): { cursor: LogCursor; messages: readonly string[]; attempt: ShippingAttempt } {
  if (chunk.length === 0) return { cursor, messages: [], attempt };
  const fits = chunk.length <= room;
  const bytes = fits ? chunk : Buffer.concat([chunk.subarray(0, room), Buffer.from(`\n${FULL}`)]);
  const { messages, consumed, textBytes } = toMessages(bytes, { final: final || !fits, skip: attempt.written });
  const offset = cursor.offset + (fits ? consumed : room);
  const left = attempt.written - textBytes;
  // An earlier attempt had a longer chunk than this one: what it wrote reaches into the next chunk.
  if (left > 0) {
    const unsettled = (cursor.unsettled ?? 0) + textBytes;
    return { cursor: { ...cursor, offset, unsettled }, messages, attempt: { ...attempt, written: left } };
  }
  return { cursor: { offset, eventTime: attempt.time }, messages, attempt: { ...attempt, written: 0 } };
}
