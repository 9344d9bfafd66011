import { gunzipSync } from 'node:zlib';
import { type JobStatus, UnreadableAnswer } from './job-protocol.ts';
import { toMessages } from './log-batching.ts';
import { logStream } from './names.ts';
import { nextWait } from './poll-timing.ts';
import type { JobStep, LogCursor, StepContext } from './run-states.ts';

/** Raw bytes asked for at once: the answer's own limit, 23,500 bytes compressed, is reached long before for most logs. */
export const LOG_CHUNK_BYTES = 1_000_000;

/** Where job logs go. Implemented on CloudWatch Logs in lambdas/adapters/. */
export interface LogStore {
  /** Appends messages, all at one time (epoch ms), in order. */
  put(stream: string, messages: readonly string[], time: number): Promise<void>;
  /** UTF-8 bytes of the messages that stand later than this time. */
  bytesAfter(stream: string, time: number): Promise<number>;
}

export interface FollowOptions {
  readonly runId: string;
  readonly context: StepContext;
  readonly logs: LogStore;
  /** Log bytes of a job that go to CloudWatch. */
  readonly maxLogBytes: number;
  /** The piece of log that was PUT instead of answered, unpacked; null: it is in the answer. */
  readonly piece?: Uint8Array | null;
}

const START: LogCursor = { offset: 0, eventTime: 0 };
const FULL =
  '[runctl] This job has written maxLogBytes of log. No more of it comes here; the whole log will be kept in S3, beside the manifest of the run.\n';

export function cursorOf(step: JobStep | null): LogCursor {
  return step?.cursor ?? START;
}

/** How many raw bytes of log to ask for: none once CloudWatch has all that it shall get. */
export function bytesWanted(step: JobStep | null, most: number): number {
  return step?.logFull ? 0 : most;
}

/**
 * Ships the log bytes of an answer and says what is known of the job now. Nothing is lost and nothing doubled when the Lambda dies half-way: all
 * events of one state entry carry one time, later than any before, so a retry reads back what its predecessor wrote and skips as many bytes.
 */
export async function followJob(status: JobStatus, previous: JobStep | null, options: FollowOptions): Promise<JobStep> {
  const chunk = options.piece ?? readChunk(status);
  const cursor = previous?.logFull ? previous.cursor : followCut(cursorOf(previous), status);
  const jobEnded = status.state === 'exited' || status.state === 'stopped' || status.state === 'vanished';
  const room = previous?.logFull ? 0 : Math.max(0, options.maxLogBytes - cursor.offset); // A log that was cut may go on behind it.
  const logFull = previous?.logFull || chunk.length > room;
  const backlog = logFull ? 0 : Math.max(0, status.log.size - cursor.offset - chunk.length);
  const more = backlog > 0;
  const shipped = previous?.logFull
    ? cursor
    : await ship(chunk, { room, final: jobEnded && !more }, cursor, { ...options, job: status.job });
  const elapsed = status.startedAt === null ? 0 : status.now - status.startedAt;
  return {
    job: status.job,
    state: status.state,
    ended: jobEnded && !more,
    ok: status.state === 'exited' && status.exit?.code === 0,
    more,
    wait: nextWait(elapsed, more),
    pid: status.pid,
    confirmed: previous?.confirmed ?? false,
    reason: status.reason,
    exit: status.exit,
    progress: status.progress,
    result: status.result,
    holder: status.holder,
    queue: status.queue ?? null,
    waiting: null,
    tail: status.tail,
    cursor: shipped,
    backlog,
    logFull,
    silentSince: null,
    polls: previous?.polls ?? 0,
    pollFailures: previous?.pollFailures ?? 0,
  };
}

/** The cursor of a step that goes on without having looked: what earlier attempts of the state may have sent is remembered. */
export function leaveUnread(cursor: LogCursor, context: StepContext): LogCursor {
  return context.retryCount > 0 ? { ...cursor, unsettled: cursor.unsettled ?? 0 } : cursor;
}

/** A job that cut its own log leaves a gap: the runner then answers from another offset than it was asked for, and reading goes on there. */
function followCut(cursor: LogCursor, status: JobStatus): LogCursor {
  const hasLog = status.log.size > 0 && status.log.offset !== cursor.offset;
  return hasLog ? { ...cursor, offset: status.log.offset } : cursor;
}

function readChunk(status: JobStatus): Uint8Array {
  if (status.log.bytes === 0) return new Uint8Array();
  return unpackLog(Buffer.from(status.log.data, 'base64'), status);
}

/** The raw log bytes in a gzip that belongs to an answer. @throws UnreadableAnswer */
export function unpackLog(gzip: Uint8Array, status: JobStatus): Uint8Array {
  let chunk: Uint8Array;
  try {
    chunk = gunzipSync(gzip);
  } catch (error) {
    throw new UnreadableAnswer(
      `the log in the answer cannot be unpacked: ${error instanceof Error ? error.message : ''}`,
    );
  }
  if (chunk.length !== status.log.bytes) {
    throw new UnreadableAnswer(`the answer has ${chunk.length} of ${status.log.bytes} bytes of log`);
  }
  return chunk;
}

async function ship(
  chunk: Uint8Array,
  { room, final }: { room: number; final: boolean },
  cursor: LogCursor,
  options: FollowOptions & { job: JobStatus['job'] },
): Promise<LogCursor> {
  if (chunk.length === 0) return cursor;
  const stream = logStream(options.runId, options.job);
  const fits = chunk.length <= room;
  const bytes = fits ? chunk : Buffer.concat([chunk.subarray(0, room), Buffer.from(`\n${FULL}`)]);
  // Of what stands there later than the cursor's time, `covered` bytes belong to the log before the cursor's offset.
  const covered = cursor.unsettled ?? 0;
  const unsettled = options.context.retryCount > 0 || cursor.unsettled !== undefined;
  const skip = unsettled ? (await options.logs.bytesAfter(stream, cursor.eventTime)) - covered : 0;
  const { messages, consumed, textBytes } = toMessages(bytes, { final: final || !fits, skip });
  const offset = cursor.offset + (fits ? consumed : room);
  // An attempt before had a longer piece of log than this one: what it wrote reaches into the next piece.
  if (skip > textBytes) return { ...cursor, offset, unsettled: covered + textBytes };
  const time = Math.max(Date.parse(options.context.enteredAt), cursor.eventTime + 1);
  if (messages.length > 0) await options.logs.put(stream, messages, time);
  return { offset, eventTime: time };
}
