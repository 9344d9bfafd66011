import { once } from 'node:events';
import Table from 'cli-table3';
import yoctoSpinner from 'yocto-spinner';
import { createStyle, onOneLine, type Style, toJson, toTerminal, withoutColors } from './style.ts';

/**
 * The output of a command: results go to stdout, everything else to stderr, so that a pipe gets only the results. The only
 * place that writes to a terminal: names, logs and errors of others may contain control sequences, which are escaped
 * here. A pipe gets the text unchanged.
 */
export class Terminal {
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
  /** Whether a person can answer questions. */
  readonly isInteractive: boolean;
  readonly colors: Style;

  constructor(io: { out: NodeJS.WriteStream; err: NodeJS.WriteStream; in: NodeJS.ReadStream; env: NodeJS.ProcessEnv }) {
    this.out = io.out;
    this.err = io.err;
    const plain = Boolean(io.env.NO_COLOR) || io.env.TERM === 'dumb';
    const isTerminal = io.out.isTTY === true;
    this.colors = createStyle({ isTerminal, colors: isTerminal && !plain });
    this.isInteractive = io.in.isTTY === true && io.err.isTTY === true && !io.env.CI;
  }

  /** A line of the result. */
  print(line = ''): void {
    this.#write(this.out, `${line}\n`);
  }

  /** A line about the work: progress, hints, warnings. */
  note(line: string): void {
    this.#write(this.err, `${line}\n`);
  }

  warn(text: string): void {
    this.note(`${this.colors.yellow('warning:')} ${text}`);
  }

  json(value: unknown): void {
    this.print(toJson(value, 2));
  }

  /** Prints lines of a log, which keep their own colors. Waits for a slow reader, so that no gigabyte is held in memory. */
  async printLog(lines: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#send(this.#written(this.out, lines.map((line) => `${this.colors.log(line)}\n`).join('')), signal);
  }

  /** Writes bytes exactly as they are, also to a terminal: `--raw`. */
  async writeRaw(bytes: string | Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#send(bytes, signal);
  }

  /** Prints columns under bold headings, without borders, as `docker` and `kubectl` do. */
  table(headings: readonly string[], rows: readonly (readonly string[])[]): void {
    const lines = ['top', 'bottom', 'left', 'right', 'mid'].flatMap((side) => [
      side,
      ...['mid', 'left', 'right'].map((part) => `${side}-${part}`),
    ]);
    const chars = { ...Object.fromEntries(lines.map((line) => [line, ''])), middle: '  ' };
    const table = new Table({
      head: headings.map((heading) => this.#written(this.out, this.colors.bold(heading))),
      chars,
      style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    });
    // Written before the widths are computed; a cell must not begin a line of its own.
    table.push(...rows.map((row) => row.map((cell) => this.#written(this.out, onOneLine(cell)))));
    for (const line of table.toString().split('\n')) this.out.write(`${line.trimEnd()}\n`);
  }

  /** Shows a spinner during the work, which may update its text. On a pipe: one line at the beginning. */
  async working<T>(text: string, work: (update: (text: string) => void) => Promise<T>): Promise<T> {
    if (this.err.isTTY !== true) {
      this.note(`${text} ...`);
      return await work(() => undefined);
    }
    const spinner = yoctoSpinner({ text: toTerminal(onOneLine(text)), stream: this.err }).start();
    try {
      return await work((current) => {
        spinner.text = toTerminal(onOneLine(current));
      });
    } finally {
      spinner.stop();
    }
  }

  /** Asks a question. Only where somebody can answer it: see {@link isInteractive}. */
  async confirm(question: string, signal?: AbortSignal): Promise<boolean> {
    const { default: confirm } = await import('@inquirer/confirm');
    return await confirm({ message: question, default: true }, { output: this.err, ...(signal ? { signal } : {}) });
  }

  #write(stream: NodeJS.WriteStream, text: string): void {
    stream.write(this.#written(stream, text));
  }

  #written(stream: NodeJS.WriteStream, text: string): string {
    if (stream.isTTY === true) return toTerminal(text);
    // Nothing is marked unless stdout is a terminal: then a pipe gets the text unchanged.
    return this.out.isTTY === true ? withoutColors(text) : text;
  }

  async #send(chunk: string | Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (chunk.length > 0 && !this.out.write(chunk)) await once(this.out, 'drain', { signal });
  }
}

/** Prints an error, with what to do about it. */
export function printError(stream: NodeJS.WriteStream, message: string, next: string | null): void {
  const text = `error: ${message}\n${next === null ? '' : `${next}\n`}`;
  stream.write(stream.isTTY === true ? toTerminal(text) : text);
}
