import { gunzipSync } from 'node:zlib';
import { logStream } from '../names.ts';
import { type JobStatus, UnreadableAnswer } from '../protocol/messages.ts';
import type { JobStep, LogCursor, StepContext } from '../workflow/data.ts';
import { nextWait } from '../workflow/poll-timing.ts';
import { type LogStore, type LogVisit, openVisit, takeLog } from './log-visit.ts';

/** Raw bytes asked for at once: the answer's own limit, 23,500 bytes compressed, is reached long before for most logs. */
export const LOG_CHUNK_BYTES = 1_000_000;

export interface FollowOptions {
  readonly runId: string;
  readonly context: StepContext;
  readonly logs: LogStore;
  /** Log bytes of a job that go to CloudWatch. */
  readonly maxLogBytes: number;
  /** The piece of log that was PUT instead of answered, unpacked; null: it is in the answer. */
  readonly piece?: Uint8Array | null;
  /** Whether log may still be sent; left out: it may. */
  readonly maySend?: () => Promise<boolean>;
  /** Asks for the log that follows, or gives null: enough for now, or no answer. Never rejects; left out: one answer is all. */
  readonly ahead?: (step: JobStep) => Promise<Answer | null>;
}

/** What the instance said, and the raw bytes of log that came with it. */
export interface Answer {
  readonly status: JobStatus;
  readonly chunk: Uint8Array;
}

const START: LogCursor = { offset: 0, eventTime: 0 };

export function cursorOf(step: JobStep | null): LogCursor {
  return step?.cursor ?? START;
}

/** How many raw bytes of log to ask for: none once CloudWatch has all that it shall get. */
export function bytesWanted(step: JobStep | null, most: number): number {
  return step?.logFull ? 0 : most;
}

/**
 * Ships the log bytes of an answer, and of the further ones that are had meanwhile; says what is known of the job then.
 * @throws UnreadableAnswer for a first answer whose log cannot be read: nothing has been shipped then; whatever the log store throws
 */
export async function followJob(first: JobStatus, previous: JobStep | null, options: FollowOptions): Promise<JobStep> {
  const stream = logStream(options.runId, first.job);
  let answer: Answer | null = { status: first, chunk: options.piece ?? readChunk(first) };
  let visit = await openVisit(options.logs, stream, cursorOf(previous), options.context, answer.chunk.length > 0);
  const maySend = answer.chunk.length === 0 || ((await options.maySend?.()) ?? true);
  if (!maySend) answer = { status: first, chunk: new Uint8Array() };
  for (let before = previous; ; ) {
    const look = lookAt(answer, before, visit, options.maxLogBytes);
    // Begun before this log is sent: both take seconds.
    const ahead: Promise<Answer | null> | undefined = answer.chunk.length > 0 ? options.ahead?.(look.step) : undefined;
    if (look.messages.length > 0) await options.logs.put(stream, look.messages, visit.time);
    answer = (await ahead) ?? null;
    if (answer === null) return look.step;
    before = look.step;
    visit = look.visit;
  }
}

interface Look {
  /** True once `messages` stand in CloudWatch. */
  readonly step: JobStep;
  readonly messages: readonly string[];
  readonly visit: LogVisit;
}

function lookAt({ status, chunk }: Answer, previous: JobStep | null, visit: LogVisit, maxLogBytes: number): Look {
  const cursor = previous?.logFull ? previous.cursor : followCut(cursorOf(previous), status);
  const jobEnded = status.state === 'exited' || status.state === 'stopped' || status.state === 'vanished';
  const room = previous?.logFull ? 0 : Math.max(0, maxLogBytes - cursor.offset); // A log that was cut may go on behind it.
  const logFull = previous?.logFull || chunk.length > room;
  const backlog = logFull ? 0 : Math.max(0, status.log.size - cursor.offset - chunk.length);
  const more = backlog > 0;
  const final = jobEnded && !more;
  const taken = previous?.logFull ? { cursor, messages: [], visit } : takeLog(chunk, { room, final }, cursor, visit);
  const elapsed = status.startedAt === null ? 0 : (status.exit?.endedAt ?? status.now) - status.startedAt;
  const step: JobStep = {
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
    cursor: taken.cursor,
    backlog,
    logFull,
    silentSince: null,
    elapsed,
    polls: previous?.polls ?? 0,
    pollFailures: previous?.pollFailures ?? 0,
  };
  return { step, messages: taken.messages, visit: taken.visit };
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
