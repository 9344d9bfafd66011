import type { JobName } from '../../core/names.ts';
import type { LogLineOutput } from '../output/schemas.ts';
import { toJson } from '../terminal/style.ts';
import type { Terminal } from '../terminal/terminal.ts';
import type { LogMessage } from './job-log.ts';
import { LineAssembler } from './line-assembler.ts';

export type LogFormat = 'text' | 'json' | 'raw';

interface About {
  readonly job: JobName;
  readonly format: LogFormat;
  /** Each line begins with the time of its message. */
  readonly timestamps?: boolean;
}

/** Writes a job's log in the chosen format: lines, one JSON object per line, or the unchanged bytes. */
export class LogSink {
  readonly #terminal: Pick<Terminal, 'printLog' | 'writeRaw'>;
  readonly #about: About;
  readonly #lines = new LineAssembler();
  #at = 0;

  constructor(terminal: Pick<Terminal, 'printLog' | 'writeRaw'>, about: About) {
    this.#terminal = terminal;
    this.#about = about;
  }

  async write(messages: readonly LogMessage[], signal: AbortSignal): Promise<void> {
    if (this.#about.format === 'raw')
      return await this.#terminal.writeRaw(messages.map(({ text }) => text).join(''), signal);
    const output: string[] = [];
    for (const { text, at } of messages) {
      this.#at = at;
      output.push(...this.#lines.push(text).map((line) => this.#format(line)));
    }
    await this.#terminal.printLog(output, signal);
  }

  /** Writes the unfinished line at the end of the log. */
  async end(signal: AbortSignal): Promise<void> {
    const lines = this.#lines.end().map((line) => this.#format(line));
    await this.#terminal.printLog(lines, signal);
  }

  async writeBytes(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#terminal.writeRaw(bytes, signal);
  }

  #format(text: string): string {
    const { format, job, timestamps } = this.#about;
    const time = new Date(this.#at).toISOString();
    if (format !== 'json') return timestamps ? `${time} ${text}` : text;
    const line: LogLineOutput = { job, time, text };
    return toJson(line);
  }
}
