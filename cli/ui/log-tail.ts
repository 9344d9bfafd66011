import { stripVTControlCharacters } from 'node:util';
import type { LogMessage } from '../logs/job-log.ts';
import { LineAssembler } from '../logs/line-assembler.ts';

/** Lines that a page gets; `runctl logs --raw` has all. */
const MAX_LINES = 2_000;
/** Characters of a line. */
const MAX_WIDTH = 2_000;

export interface TailLine {
  /** Counts the lines of the log from 1 on. */
  readonly number: number;
  readonly at: number;
  readonly text: string;
}

/** The last lines of a log, as a page shows them. */
export class LogTail {
  readonly #assembler = new LineAssembler();
  #lines: TailLine[] = [];
  #count = 0;
  #at = 0;

  add(messages: readonly LogMessage[]): void {
    for (const { text, at } of messages) {
      this.#at = at;
      for (const line of this.#assembler.push(text)) this.#keep(line);
    }
  }

  /** The log has ended: its last line may have no newline. */
  end(): void {
    for (const line of this.#assembler.end()) this.#keep(line);
  }

  /** The lines after one that the page has. */
  after(number: number): { readonly lines: readonly TailLine[]; readonly total: number } {
    const first = (this.#lines[0]?.number ?? 1) - 1;
    return { lines: this.#lines.slice(Math.max(0, number - first)), total: this.#count };
  }

  #keep(line: string): void {
    this.#count += 1;
    const text = stripVTControlCharacters(line);
    const cut = text.length > MAX_WIDTH ? `${text.slice(0, MAX_WIDTH)}…` : text;
    this.#lines.push({ number: this.#count, at: this.#at, text: cut });
    if (this.#lines.length >= MAX_LINES * 2) this.#lines = this.#lines.slice(-MAX_LINES);
  }
}
