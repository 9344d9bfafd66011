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
  /** UTF-8 bytes of the messages that stand at exactly this time. */
  bytesAt(stream: string, time: number): Promise<number>;
}

const START: LogCursor = { offset: 0, eventTime: 0 };

export function cursorOf(step: JobStep | null): LogCursor {
  return step?.cursor ?? START;
}

/**
 * Ships the log bytes of an answer and says what is known of the job now. Nothing is lost and nothing doubled when the Lambda dies half-way: all
 * events of one state entry carry one time, later than any before, so a retry reads back what its predecessor wrote and skips as many bytes.
 */
export async function followJob(
  status: JobStatus,
  previous: JobStep | null,
  options: { runId: string; context: StepContext; logs: LogStore },
): Promise<JobStep> {
  const chunk = readChunk(status);
  const cursor = followCut(cursorOf(previous), status);
  const jobEnded = status.state === 'exited' || status.state === 'stopped' || status.state === 'vanished';
  const more = cursor.offset + chunk.length < status.log.size;
  const moved = await ship(chunk, jobEnded && !more, cursor, { ...options, job: status.job });
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
    tail: status.tail,
    cursor: moved,
    silentSince: null,
    pollFailures: previous?.pollFailures ?? 0,
  };
}

/** The time of the events that an attempt in this context sends. */
function nextEventTime(cursor: LogCursor, context: StepContext): number {
  return cursor.unsettledTime ?? Math.max(Date.parse(context.enteredAt), cursor.eventTime + 1);
}

/** The cursor of a step that goes on without having looked: what earlier attempts of the state may have sent is remembered. */
export function leaveUnread(cursor: LogCursor, context: StepContext): LogCursor {
  return context.retryCount > 0 ? { ...cursor, unsettledTime: nextEventTime(cursor, context) } : cursor;
}

/** A job that cut its own log leaves a gap: the runner then answers from another offset than it was asked for, and reading goes on there. */
function followCut(cursor: LogCursor, status: JobStatus): LogCursor {
  const hasLog = status.log.size > 0 && status.log.offset !== cursor.offset;
  return hasLog ? { ...cursor, offset: status.log.offset } : cursor;
}

function readChunk(status: JobStatus): Uint8Array {
  if (status.log.bytes === 0) return new Uint8Array();
  let chunk: Uint8Array;
  try {
    chunk = gunzipSync(Buffer.from(status.log.data, 'base64'));
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
  final: boolean,
  cursor: LogCursor,
  options: { runId: string; job: JobStatus['job']; context: StepContext; logs: LogStore },
): Promise<LogCursor> {
  if (chunk.length === 0) return cursor;
  const stream = logStream(options.runId, options.job);
  const time = nextEventTime(cursor, options.context);
  const unsettled = options.context.retryCount > 0 || cursor.unsettledTime !== undefined;
  const skip = unsettled ? await options.logs.bytesAt(stream, time) : 0;
  const { messages, consumed } = toMessages(chunk, { final, skip });
  if (messages.length > 0) await options.logs.put(stream, messages, time);
  return { offset: cursor.offset + consumed, eventTime: time };
}
