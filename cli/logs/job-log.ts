import type { CloudWatchLogsClient, GetLogEventsCommandInput, OutputLogEvent } from '@aws-sdk/client-cloudwatch-logs';
import { getLogEvents } from '../../aws/log-events.ts';
import { type JobName, logStream } from '../../core/names.ts';

/** CloudWatch shows new events a little late: after the end of a run this many reads in a row must return nothing. */
export const QUIET_READS = 3;
/** Pages from the end are small: a line is an event, and a person asks for fifty. */
const SMALL_PAGE = 100;

export interface LogMessage {
  /** A line with its newline, or a part of one. */
  readonly text: string;
  /** Epoch milliseconds when runctl read it from the instance. */
  readonly at: number;
}

/** As it stands in CloudWatch. */
export interface TakenMessage extends LogMessage {
  /** Epoch milliseconds when CloudWatch took it; null: it does not say. */
  readonly takenAt: number | null;
}

export interface LogPage {
  readonly messages: readonly TakenMessage[];
  /** There is nothing behind it for now. */
  readonly atEnd: boolean;
}

/** The log of one job in CloudWatch, read as it grows: each message once, also when calls fail in between. */
export class JobLog {
  readonly #logs: Pick<CloudWatchLogsClient, 'send'>;
  readonly #where: { readonly logGroupName: string; readonly logStreamName: string; readonly startTime?: number };
  #token: string | undefined;

  /** @param since epoch ms; nothing earlier is read */
  constructor(
    logs: Pick<CloudWatchLogsClient, 'send'>,
    stream: {
      readonly group: string;
      readonly runId: string;
      readonly job: JobName;
      readonly attempt?: number;
      readonly since?: number;
    },
  ) {
    this.#logs = logs;
    this.#where = {
      logGroupName: stream.group,
      logStreamName: logStream(stream.runId, stream.job, stream.attempt),
      ...(stream.since === undefined ? {} : { startTime: stream.since }),
    };
  }

  /** Whether the job has begun and written something. */
  async exists(signal?: AbortSignal): Promise<boolean> {
    return ((await this.#page({ limit: 1, startFromHead: true }, signal))?.events?.length ?? 0) > 0;
  }

  /** The last lines, and perhaps some before them; `next` goes on behind them. */
  async recent(lines: number, signal?: AbortSignal): Promise<TakenMessage[]> {
    let found: TakenMessage[] = [];
    let token: string | undefined;
    for (let newlines = 0; newlines <= lines; ) {
      const page = await this.#page({ limit: Math.max(lines, SMALL_PAGE), nextToken: token }, signal);
      if (page === null) break;
      if (token === undefined) this.#token = page.nextForwardToken;
      found = [...messagesOf(page.events), ...found];
      newlines = found.filter(({ text }) => text.endsWith('\n')).length;
      if (page.nextBackwardToken === undefined || page.nextBackwardToken === token) break;
      token = page.nextBackwardToken;
    }
    return found;
  }

  /** What came since the last call, from the beginning at first; a page at a time. A call that fails is repeated without loss. */
  async next(signal?: AbortSignal): Promise<LogPage> {
    const page = await this.#page({ startFromHead: true, nextToken: this.#token }, signal);
    if (page === null) return { messages: [], atEnd: true };
    // A page may be empty before the end; only a token that comes again means the end.
    const atEnd = page.nextForwardToken === undefined || page.nextForwardToken === this.#token;
    this.#token = page.nextForwardToken ?? this.#token;
    return { messages: messagesOf(page.events), atEnd };
  }

  /** The pages that there are behind what was read, to the end as of now. */
  async *available(signal?: AbortSignal): AsyncGenerator<readonly TakenMessage[]> {
    for (let atEnd = false; !atEnd; ) {
      const page = await this.next(signal);
      yield page.messages;
      ({ atEnd } = page);
    }
  }

  /** null: the job has not begun, or has written nothing. */
  async #page(options: Partial<GetLogEventsCommandInput>, signal?: AbortSignal) {
    return getLogEvents(this.#logs, { ...this.#where, ...options }, signal);
  }
}

function messagesOf(events: readonly OutputLogEvent[] | undefined): TakenMessage[] {
  return (events ?? []).map(({ message = '', timestamp = 0, ingestionTime = null }) => ({
    text: message,
    at: timestamp,
    takenAt: ingestionTime,
  }));
}
