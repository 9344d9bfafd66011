import { requestBase } from '../../core/job/instance-commands.ts';
import { attemptOf } from '../../core/job/job-status.ts';
import { ANSWER_BYTES, unpackLog } from '../../core/job/log-chunks.ts';
import type { JobName } from '../../core/names.ts';
import { checkAnswer, type JobStatus } from '../../core/protocol/answers.ts';
import type { RunFacts } from '../../core/workflow/data.ts';
import type { Account } from '../account/account.ts';
import { createSendRequest } from '../account/send-request.ts';
import type { ByteFeed } from './byte-feed.ts';
import { lastLinesStart } from './last-lines.ts';
import { atTheirTimes } from './log-times.ts';

/** How much is read back to find the last lines. */
const RECENT_BYTES = 64 * 1024;

/** How far the log has been read on the instance. */
export interface LogPosition {
  /** Raw bytes. */
  readonly offset: number;
  /** The job has ended, and all of its log has been read. */
  readonly ended: boolean;
}

/** Requests the status of a job with a part of its log. */
type StatusRequest = (offset: number, maxBytes: number, signal: AbortSignal) => Promise<JobStatus>;

/** Reads a job's log from the instance, each byte once. */
export class LiveLog {
  readonly #requestStatus: StatusRequest;
  readonly #feed: Pick<ByteFeed, 'push'>;
  position: LogPosition = { offset: 0, ended: false };

  constructor(requestStatus: StatusRequest, feed: Pick<ByteFeed, 'push'>) {
    this.#requestStatus = requestStatus;
    this.#feed = feed;
  }

  async #push(bytes: Uint8Array, { now, log }: JobStatus, from: number, signal: AbortSignal): Promise<void> {
    if (log.times === undefined) return await this.#feed.push(bytes, now * 1_000, signal);
    for (const part of atTheirTimes(bytes, from, log.times, now * 1_000))
      await this.#feed.push(part.bytes, part.at, signal);
  }

  /** Starts with the last lines. */
  async beginNearEnd(lines: number, signal: AbortSignal): Promise<void> {
    const { log } = await this.#requestStatus(0, 0, signal);
    const from = Math.max(0, log.size - RECENT_BYTES);
    const status = await this.#requestStatus(from, RECENT_BYTES, signal);
    const bytes = chunkOf(status);
    const start = lastLinesStart(bytes, lines, status.log.offset > 0);
    await this.#push(bytes.subarray(start), status, status.log.offset + start, signal);
    this.position = { offset: status.log.offset + bytes.length, ended: false };
  }

  /** Reads what has been written since. @throws what the request throws; the next call continues at the same position */
  async next(signal: AbortSignal): Promise<void> {
    for (;;) {
      const status = await this.#requestStatus(this.position.offset, ANSWER_BYTES, signal);
      const bytes = chunkOf(status);
      await this.#push(bytes, status, status.log.offset, signal);
      // A job that truncated its own log leaves a gap: the runner reports where the log continues.
      const offset = status.log.size > 0 ? status.log.offset + bytes.length : this.position.offset;
      const atEnd = offset >= status.log.size || bytes.length === 0;
      this.position = { offset, ended: atEnd && ['exited', 'stopped', 'vanished'].includes(status.state) };
      if (atEnd) return;
    }
  }
}

/** null: the run has not reached an instance. @param times with the times of the log */
export function statusRequest(
  account: Account,
  facts: RunFacts,
  { job, attempt, times }: { readonly job: JobName; readonly attempt: number; readonly times: boolean },
): StatusRequest | null {
  const { run, instance, spec } = facts;
  if (!run || !instance || !spec) return null;
  const base = requestBase({ run, instance, project: spec.project, user: spec.user });
  const send = createSendRequest(account, run.program);
  const poll = (answer: object) => checkAnswer('poll', answer);
  return (offset, maxBytes, signal) =>
    send(
      instance.id,
      { ...base, verb: 'poll', job, ...attemptOf({ attempt }), offset, maxBytes, ...(times ? { times } : {}) },
      poll,
      signal,
    );
}

function chunkOf(status: JobStatus): Uint8Array {
  return status.log.bytes === 0 ? new Uint8Array() : unpackLog(Buffer.from(status.log.data, 'base64'), status);
}
