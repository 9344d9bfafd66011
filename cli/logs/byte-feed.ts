import { toMessages } from '../../core/logs/batching.ts';
import type { LogMessage } from './job-log.ts';
import type { LogSink } from './log-sink.ts';

/** Passes raw log bytes to a sink: unchanged, or as the text that CloudWatch would show. */
export class ByteFeed {
  readonly #sink: Pick<LogSink, 'write' | 'writeBytes' | 'end'>;
  readonly #raw: boolean;
  /** The beginning of a character whose remaining bytes have not arrived. */
  #rest: Uint8Array = new Uint8Array();

  constructor(sink: Pick<LogSink, 'write' | 'writeBytes' | 'end'>, raw: boolean) {
    this.#sink = sink;
    this.#raw = raw;
  }

  /** @param at epoch milliseconds when the bytes were read */
  async push(bytes: Uint8Array, at: number, signal: AbortSignal): Promise<void> {
    if (this.#raw) await this.#sink.writeBytes(bytes, signal);
    else await this.#text(Buffer.concat([this.#rest, bytes]), at, false, signal);
  }

  async end(at: number, signal: AbortSignal): Promise<void> {
    if (!this.#raw) await this.#text(this.#rest, at, true, signal);
    await this.#sink.end(signal);
  }

  async #text(bytes: Uint8Array, at: number, final: boolean, signal: AbortSignal): Promise<void> {
    const { messages, consumed } = toMessages(bytes, { final });
    this.#rest = bytes.subarray(consumed);
    await this.#sink.write(
      messages.map((text) => ({ text, at })),
      signal,
    );
  }
}

/** A feed that passes text to a function. */
export function textFeed(write: (messages: readonly LogMessage[]) => Promise<void>): ByteFeed {
  const nothing = async () => undefined;
  return new ByteFeed({ write, writeBytes: nothing, end: nothing }, false);
}
