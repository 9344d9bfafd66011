import Table from 'cli-table3';
import { createColors } from 'picocolors';
import yoctoSpinner from 'yocto-spinner';

/** The output of a command: results go to stdout, everything else to stderr, so that a pipe gets only the results. */
export class Terminal {
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
  /** Whether a person can answer questions. */
  readonly isInteractive: boolean;
  readonly colors: ReturnType<typeof createColors>;

  constructor(io: { out: NodeJS.WriteStream; err: NodeJS.WriteStream; in: NodeJS.ReadStream; env: NodeJS.ProcessEnv }) {
    this.out = io.out;
    this.err = io.err;
    const plain = Boolean(io.env.NO_COLOR) || io.env.TERM === 'dumb';
    this.colors = createColors(io.out.isTTY === true && !plain);
    this.isInteractive = io.in.isTTY === true && io.err.isTTY === true && !io.env.CI;
  }

  /** A line of the result. */
  print(line = ''): void {
    this.out.write(`${line}\n`);
  }

  /** A line about the work: progress, hints, warnings. */
  note(line: string): void {
    this.err.write(`${line}\n`);
  }

  warn(text: string): void {
    this.note(`${this.colors.yellow('warning:')} ${text}`);
  }

  json(value: unknown): void {
    this.print(JSON.stringify(value, null, 2));
  }

  /** Prints columns under bold headings, without borders, as `docker` and `kubectl` do. */
  table(headings: readonly string[], rows: readonly (readonly string[])[]): void {
    const lines = ['top', 'bottom', 'left', 'right', 'mid'].flatMap((side) => [
      side,
      ...['mid', 'left', 'right'].map((part) => `${side}-${part}`),
    ]);
    const chars = { ...Object.fromEntries(lines.map((line) => [line, ''])), middle: '  ' };
    const table = new Table({
      head: headings.map((heading) => this.colors.bold(heading)),
      chars,
      style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    });
    table.push(...rows.map((row) => [...row]));
    for (const line of table.toString().split('\n')) this.print(line.trimEnd());
  }

  /** Shows a spinner during the work, which may update its text. On a pipe: one line at the beginning. */
  async working<T>(text: string, work: (update: (text: string) => void) => Promise<T>): Promise<T> {
    if (this.err.isTTY !== true) {
      this.note(`${text} ...`);
      return await work(() => undefined);
    }
    const spinner = yoctoSpinner({ text, stream: this.err }).start();
    try {
      return await work((now) => {
        spinner.text = now;
      });
    } finally {
      spinner.stop();
    }
  }

  /** Asks a question; the answer is `otherwise` when nobody can answer. */
  async confirm(question: string, otherwise: boolean, signal?: AbortSignal): Promise<boolean> {
    if (!this.isInteractive) return otherwise;
    const { default: confirm } = await import('@inquirer/confirm');
    return await confirm({ message: question, default: true }, { output: this.err, ...(signal ? { signal } : {}) });
  }
}
