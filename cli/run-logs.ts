import { type CloudWatchLogsClient, GetLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { type JobName, logStream } from '../core/names.ts';
import { LineAssembler } from './line-assembler.ts';

const JOBS: readonly JobName[] = ['sync', 'install', 'train'];

export interface LogLine {
  readonly job: JobName;
  /** Without its newline. */
  readonly text: string;
  /** Epoch milliseconds when CloudWatch took it. */
  readonly at: number;
}

interface Stream {
  readonly job: JobName;
  readonly lines: LineAssembler;
  token: string | undefined;
  at: number;
}

/** Reads the log streams of one run as they grow, each line once. */
export class RunLogs {
  readonly #logs: Pick<CloudWatchLogsClient, 'send'>;
  readonly #place: { readonly group: string; readonly runId: string };
  readonly #streams: readonly Stream[];
  /** Read, and not handed out yet: what came before a call failed is handed out by the next one. */
  #unread: LogLine[] = [];

  constructor(logs: Pick<CloudWatchLogsClient, 'send'>, group: string, runId: string) {
    this.#logs = logs;
    this.#place = { group, runId };
    this.#streams = JOBS.map((job) => ({ job, lines: new LineAssembler(), token: undefined, at: 0 }));
  }

  /**
   * The lines that were completed since the last call, in the order in which CloudWatch took them.
   * @throws what CloudWatch or the network says; nothing is lost by that, the next call goes on where this one stopped.
   */
  async read(signal?: AbortSignal): Promise<LogLine[]> {
    const read = await Promise.allSettled(this.#streams.map((stream) => this.#readStream(stream, signal)));
    const failed = read.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    const lines = this.#unread.sort((a, b) => a.at - b.at);
    this.#unread = [];
    return lines;
  }

  /** What is left of unfinished lines, when nothing comes any more. */
  rest(): LogLine[] {
    return this.#streams.flatMap(({ job, lines, at }) => lines.end().map((text) => ({ job, text, at })));
  }

  async #readStream(stream: Stream, signal?: AbortSignal): Promise<void> {
    for (;;) {
      const page = await this.#page(stream, signal);
      if (page === null) return;
      for (const event of page.events ?? []) {
        stream.at = event.ingestionTime ?? stream.at;
        const { job, at } = stream;
        for (const text of stream.lines.push(event.message ?? '')) this.#unread.push({ job, text, at });
      }
      // A page may be empty before the end; only a token that comes again means the end.
      const atEnd = page.nextForwardToken === undefined || page.nextForwardToken === stream.token;
      stream.token = page.nextForwardToken ?? stream.token;
      if (atEnd) return;
    }
  }

  async #page(stream: Stream, signal?: AbortSignal) {
    try {
      return await this.#logs.send(
        new GetLogEventsCommand({
          logGroupName: this.#place.group,
          logStreamName: logStream(this.#place.runId, stream.job),
          startFromHead: true,
          ...(stream.token === undefined ? {} : { nextToken: stream.token }),
        }),
        signal ? { abortSignal: signal } : {},
      );
    } catch (error) {
      // The job has not begun, or has said nothing.
      if (error instanceof Error && error.name === 'ResourceNotFoundException') return null;
      throw error;
    }
  }
}
