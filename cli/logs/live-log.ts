import { setTimeout } from 'node:timers/promises';
import { requestBase } from '../../core/job/instance-commands.ts';
import { ANSWER_BYTES, unpackLog } from '../../core/job/log-chunks.ts';
import type { JobName } from '../../core/names.ts';
import type { JobStatus } from '../../core/protocol/messages.ts';
import type { RunFacts } from '../../core/workflow/data.ts';
import type { Account } from '../account/account.ts';
import { createAsk } from '../account/ask-instance.ts';
import type { ByteFeed } from './byte-feed.ts';

const LOOK_MS = 2_000;
/** What is read back to find the last lines in. */
const RECENT_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** How far the log has been read on the instance. */
export interface LivePlace {
  /** Raw bytes. */
  readonly offset: number;
  /** The job has ended, and all of its log has been read. */
  readonly ended: boolean;
}

/** Reads a job's log on the instance itself, each byte once. */
export class LiveLog {
  readonly #ask: (offset: number, maxBytes: number, signal: AbortSignal) => Promise<JobStatus>;
  readonly #feed: Pick<ByteFeed, 'push'>;
  place: LivePlace = { offset: 0, ended: false };

  constructor(
    ask: (offset: number, maxBytes: number, signal: AbortSignal) => Promise<JobStatus>,
    feed: Pick<ByteFeed, 'push'>,
  ) {
    this.#ask = ask;
    this.#feed = feed;
  }

  /** Begins with the last lines that are there. */
  async beginNearEnd(lines: number, signal: AbortSignal): Promise<void> {
    const { log } = await this.#ask(0, 0, signal);
    const from = Math.max(0, log.size - RECENT_BYTES);
    const status = await this.#ask(from, RECENT_BYTES, signal);
    const bytes = chunkOf(status);
    const start = lastLinesStart(bytes, lines, status.log.offset > 0);
    await this.#feed.push(bytes.subarray(start), status.now * 1_000, signal);
    this.place = { offset: status.log.offset + bytes.length, ended: false };
  }

  /** Reads what came since, to its end. @throws whatever asking throws; nothing is lost by that */
  async next(signal: AbortSignal): Promise<void> {
    for (;;) {
      const status = await this.#ask(this.place.offset, ANSWER_BYTES, signal);
      const bytes = chunkOf(status);
      await this.#feed.push(bytes, status.now * 1_000, signal);
      // A job that cut its own log leaves a gap: the runner says where it goes on.
      const offset = status.log.size > 0 ? status.log.offset + bytes.length : this.place.offset;
      const atEnd = offset >= status.log.size || bytes.length === 0;
      this.place = { offset, ended: atEnd && ['exited', 'stopped', 'vanished'].includes(status.state) };
      if (atEnd) return;
    }
  }
}

export function askOf(account: Account, facts: RunFacts, job: JobName) {
  const { run, instance, spec } = facts;
  if (!run || !instance || !spec) return null;
  const base = requestBase({ run, instance, project: spec.project, user: spec.user });
  const ask = createAsk(account, run.program);
  return (offset: number, maxBytes: number, signal: AbortSignal) =>
    ask<JobStatus>(instance.id, { ...base, verb: 'poll', job, offset, maxBytes }, signal);
}

export async function untilNextLook(began: number, signal: AbortSignal): Promise<void> {
  await setTimeout(Math.max(0, began + LOOK_MS - performance.now()), undefined, { signal });
}

function chunkOf(status: JobStatus): Uint8Array {
  return status.log.bytes === 0 ? new Uint8Array() : unpackLog(Buffer.from(status.log.data, 'base64'), status);
}

/** Where the last lines begin; behind the first newline at least when the bytes begin inside a line. */
export function lastLinesStart(bytes: Uint8Array, lines: number, isInside: boolean): number {
  let end = bytes.at(-1) === NEWLINE ? bytes.length - 1 : bytes.length;
  for (let left = lines; left > 0; left -= 1) {
    const before = end === 0 ? -1 : bytes.lastIndexOf(NEWLINE, end - 1);
    if (before < 0) return isInside ? Math.min(bytes.length, bytes.indexOf(NEWLINE) + 1) : 0;
    end = before;
  }
  return end + 1;
}
