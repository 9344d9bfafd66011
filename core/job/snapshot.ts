import type { JobName } from '../names.ts';
import type { JobStatus } from '../protocol/answers.ts';
import type { JobSnapshot, LogCursor } from '../workflow/data.ts';
import { nextWait } from '../workflow/poll-timing.ts';
import { nextMessages, type ShippingAttempt } from './shipping-attempt.ts';

/** What the instance answered, and the raw log bytes that came with it. */
export interface Answer {
  readonly status: JobStatus;
  readonly chunk: Uint8Array;
}

export interface Advance {
  /** True once CloudWatch has `messages`. */
  readonly snapshot: JobSnapshot;
  readonly messages: readonly string[];
  readonly attempt: ShippingAttempt;
}

const START: LogCursor = { offset: 0, eventTime: 0 };

export function cursorOf(snapshot: JobSnapshot | null): LogCursor {
  return snapshot?.cursor ?? START;
}

/** What is known of a job after an answer, and the messages to send for it. @param maxLogBytes of the job's log that CloudWatch gets */
export function advance(
  previous: JobSnapshot | null,
  { status, chunk }: Answer,
  attempt: ShippingAttempt,
  maxLogBytes: number,
): Advance {
  const wasFull = previous?.logFull ?? false;
  const before = previous !== null && wasFull ? previous.cursor : followTruncation(cursorOf(previous), status);
  const jobEnded = status.state === 'exited' || status.state === 'stopped' || status.state === 'vanished';
  const room = wasFull ? 0 : Math.max(0, maxLogBytes - before.offset); // A truncated log may continue behind the limit.
  const logFull = wasFull || chunk.length > room;
  const backlog = logFull ? 0 : Math.max(0, status.log.size - before.offset - chunk.length);
  const more = backlog > 0;
  const final = jobEnded && !more;
  const next = wasFull
    ? { cursor: before, messages: [], attempt }
    : nextMessages(chunk, { room, final }, before, attempt);
  const elapsed = status.startedAt === null ? 0 : status.now - status.startedAt;
  const snapshot: JobSnapshot = {
    job: status.job,
    state: status.state,
    ended: final,
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
    cursor: next.cursor,
    backlog,
    logFull,
    silentSince: null,
    elapsed: secondsOf(status, previous, elapsed),
    polls: previous?.polls ?? 0,
    pollFailures: previous?.pollFailures ?? 0,
    ...(previous?.again ? { again: true } : {}),
    ...(previous?.costCap ? { costCap: previous.costCap } : {}),
    ...(previous?.metrics ? { metrics: previous.metrics } : {}),
    ...(status.usage ? { usage: status.usage } : {}),
    ...(previous?.environment ? { environment: previous.environment } : {}),
  };
  return { snapshot, messages: next.messages, attempt: next.attempt };
}

/** How long the job has run. Of one that is gone nobody knows when: as long as at the poll before. */
function secondsOf({ state, exit, startedAt }: JobStatus, previous: JobSnapshot | null, untilNow: number): number {
  if (exit !== null && startedAt !== null) return Math.max(0, exit.endedAt - startedAt);
  return state === 'vanished' && previous?.elapsed !== undefined ? previous.elapsed : untilNow;
}

/** A job that truncated its own log leaves a gap: the runner then answers from another offset than requested, and reading continues there. */
function followTruncation(cursor: LogCursor, { log }: JobStatus): LogCursor {
  return log.size > 0 && log.offset !== cursor.offset ? { ...cursor, offset: log.offset } : cursor;
}

/** Of a start that the instance could not answer, or that came to an instance that is about to stop. */
export function refusedSnapshot(
  job: JobName,
  reason: string,
  { previous, failures }: { previous: JobSnapshot | null; failures: number },
): JobSnapshot {
  const cursor = cursorOf(previous);
  const nothing = { pid: null, exit: null, progress: null, result: null, holder: null, queue: null, waiting: null };
  return {
    ...nothing,
    ...{ job, state: 'refused', reason, ended: false, ok: false, more: false, wait: 0, confirmed: false },
    // It may have been started, and its log sent, before the answer was lost: the next start reads back what is there.
    cursor: { ...cursor, unsettled: cursor.unsettled ?? 0 },
    ...{ tail: null, backlog: 0, logFull: false, silentSince: null, polls: 0, pollFailures: failures },
  };
}
