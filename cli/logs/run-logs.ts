import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { JOBS, type JobName } from '../../core/names.ts';
import { JobLog } from './job-log.ts';
import { LineAssembler } from './line-assembler.ts';

export interface LogLine {
  readonly job: JobName;
  /** Without its newline. */
  readonly text: string;
  /** Epoch milliseconds when CloudWatch took it. */
  readonly at: number;
}

interface Stream {
  readonly job: JobName;
  readonly log: JobLog;
  readonly lines: LineAssembler;
  at: number;
}

/** Reads the log streams of one run as they grow, each line once. */
export class RunLogs {
  readonly #logs: Pick<CloudWatchLogsClient, 'send'>;
  readonly #run: { readonly group: string; readonly runId: string };
  #streams: readonly Stream[] = [];
  #attempts = 0;
  /** Read, and not handed out yet: what came before a call failed is handed out by the next one. */
  #unread: LogLine[] = [];

  constructor(logs: Pick<CloudWatchLogsClient, 'send'>, group: string, runId: string) {
    this.#logs = logs;
    this.#run = { group, runId };
    this.addAttempt();
  }

  /** Reads the streams of a further attempt, too. */
  addAttempt(): void {
    this.#attempts += 1;
    const attempt = this.#attempts;
    const streams = JOBS.map((job) => {
      const log = new JobLog(this.#logs, { ...this.#run, job, attempt });
      return { job, log, lines: new LineAssembler(), at: 0 };
    });
    this.#streams = [...this.#streams, ...streams];
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
    for await (const messages of stream.log.available(signal)) {
      for (const message of messages) {
        stream.at = message.takenAt ?? stream.at;
        const { job, at } = stream;
        for (const text of stream.lines.push(message.text)) this.#unread.push({ job, text, at });
      }
    }
  }
}
