import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { MAX_ATTEMPTS } from '../../core/attempts/policy.ts';
import type { JobName } from '../../core/names.ts';
import { JobLog, type LogPage, type TakenMessage } from './job-log.ts';

interface Streams {
  readonly group: string;
  readonly runId: string;
  readonly job: JobName;
  /** Epoch milliseconds; nothing earlier is read. */
  readonly since?: number;
}

/** An attempt may end before its job has written anything: so many are passed over. */
const LOOK_AHEAD = 2;

function attemptsBehind(attempt: number): number[] {
  const length = Math.min(LOOK_AHEAD, MAX_ATTEMPTS - attempt);
  return Array.from({ length }, (_, index) => attempt + 1 + index);
}

function openerOf(logs: Pick<CloudWatchLogsClient, 'send'>, streams: Streams) {
  return (attempt: number) => new JobLog(logs, { ...streams, attempt });
}

/** The logs of a job over the attempts of a run, one after the other. */
export class AttemptsLog {
  readonly #open: (attempt: number) => JobLog;
  #log: JobLog;

  private constructor(open: (attempt: number) => JobLog, attempt: number) {
    this.#open = open;
    this.#log = open(attempt);
  }

  static from(logs: Pick<CloudWatchLogsClient, 'send'>, streams: Streams, attempt: number): AttemptsLog {
    return new AttemptsLog(openerOf(logs, streams), attempt);
  }

  /** Begins with the newest attempt that has written something. */
  static async latest(
    logs: Pick<CloudWatchLogsClient, 'send'>,
    streams: Streams,
    signal: AbortSignal,
  ): Promise<AttemptsLog> {
    const open = openerOf(logs, streams);
    for (let attempt = 1; ; ) {
      const next = attemptsBehind(attempt).map(open);
      const exist = await Promise.all(next.map((log) => log.exists(signal)));
      const last = next[exist.lastIndexOf(true)];
      if (last === undefined) return new AttemptsLog(open, attempt);
      attempt = last.attempt;
    }
  }

  get attempt(): number {
    return this.#log.attempt;
  }

  recent(lines: number, signal?: AbortSignal): Promise<TakenMessage[]> {
    return this.#log.recent(lines, signal);
  }

  /** As {@link JobLog.next}. Behind the end of an attempt it goes on with the next one that has written something. */
  async next(signal?: AbortSignal): Promise<LogPage> {
    const page = await this.#log.next(signal);
    if (!page.atEnd || page.messages.length > 0) return page;
    for (const attempt of attemptsBehind(this.attempt)) {
      const log = this.#open(attempt);
      const later = await log.next(signal);
      if (later.messages.length === 0) continue;
      this.#log = log;
      return later;
    }
    return page;
  }
}
