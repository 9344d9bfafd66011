import { once } from 'node:events';
import type { JobName } from '../../core/names.ts';
import { isoTime } from '../terminal/times.ts';
import type { LogMessage } from './job-log.ts';
import { LineAssembler } from './line-assembler.ts';

export type LogFormat = 'text' | 'json' | 'raw';

/** Writes a job's log in the chosen format: lines, one JSON object per line, or the unchanged bytes. */
export class LogSink {
  readonly #out: NodeJS.WriteStream;
  readonly #about: { readonly job: JobName; readonly format: LogFormat };
  readonly #lines = new LineAssembler();
  #at = 0;

  constructor(out: NodeJS.WriteStream, about: { readonly job: JobName; readonly format: LogFormat }) {
    this.#out = out;
    this.#about = about;
  }

  async write(messages: readonly LogMessage[], signal: AbortSignal): Promise<void> {
    if (this.#about.format === 'raw') return await this.#send(messages.map(({ text }) => text).join(''), signal);
    const output: string[] = [];
    for (const { text, at } of messages) {
      this.#at = at;
      output.push(...this.#lines.push(text).map((line) => this.#format(line)));
    }
    await this.#send(output.join(''), signal);
  }

  /** Writes the unfinished line at the end of the log. */
  async end(signal: AbortSignal): Promise<void> {
    await this.#send(
      this.#lines
        .end()
        .map((line) => this.#format(line))
        .join(''),
      signal,
    );
  }

  async writeBytes(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#send(bytes, signal);
  }

  #format(text: string): string {
    const { format, job } = this.#about;
    return `${format === 'json' ? JSON.stringify({ job, time: isoTime(this.#at), text }) : text}\n`;
  }

  /** Waits for a slow reader, so that a gigabyte of log is never held in memory. */
  async #send(chunk: string | Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (chunk.length > 0 && !this.#out.write(chunk)) await once(this.#out, 'drain', { signal });
  }
}
