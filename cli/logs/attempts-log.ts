import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import type { JobName } from '../../core/names.ts';
import { JobLog, type LogPage, type TakenMessage } from './job-log.ts';

interface Streams {
  readonly group: string;
  readonly runId: string;
  readonly job: JobName;
  /** Epoch milliseconds; nothing earlier is read. */
  readonly since?: number;
}

/** The logs of a job over the attempts of a run, one after the other. */
export class AttemptsLog {
  readonly #open: (attempt: number) => JobLog;
  #attempt: number;
  #log: JobLog;

  private constructor(open: (attempt: number) => JobLog, attempt: number) {
    this.#open = open;
    this.#attempt = attempt;
    this.#log = open(attempt);
  }

  static from(logs: Pick<CloudWatchLogsClient, 'send'>, streams: Streams, attempt: number): AttemptsLog {
    return new AttemptsLog((one) => new JobLog(logs, { ...streams, attempt: one }), attempt);
  }

  /** Begins with the newest attempt that has written something. */
  static async latest(
    logs: Pick<CloudWatchLogsClient, 'send'>,
    streams: Streams,
    signal: AbortSignal,
  ): Promise<AttemptsLog> {
    let attempt = 1;
    while (await new JobLog(logs, { ...streams, attempt: attempt + 1 }).exists(signal)) attempt += 1;
    return AttemptsLog.from(logs, streams, attempt);
  }

  get attempt(): number {
    return this.#attempt;
  }

  recent(lines: number, signal?: AbortSignal): Promise<TakenMessage[]> {
    return this.#log.recent(lines, signal);
  }

  /** As {@link JobLog.next}. Behind the end of an attempt it goes on with the next one that has written something. */
  async next(signal?: AbortSignal): Promise<LogPage> {
    const page = await this.#log.next(signal);
    if (!page.atEnd || page.messages.length > 0) return page;
    const log = this.#open(this.#attempt + 1);
    const later = await log.next(signal);
    if (later.messages.length === 0) return page;
    this.#attempt += 1;
    this.#log = log;
    return later;
  }
}
