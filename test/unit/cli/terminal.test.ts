import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogSink } from '../../../cli/logs/log-sink.ts';
import { eventPrinter } from '../../../cli/runs/print-events.ts';
import { printError, Terminal } from '../../../cli/terminal/terminal.ts';

const never = new AbortController().signal;
/** Everything that a terminal acts on, but for newline and tab: C0, DEL, C1. */
const CONTROLS = /[\p{Cc}]/gu;
const SGR = new RegExp(`${String.fromCharCode(0x1b)}\\[[\\d;:]*m`, 'g');
/** A title, a clipboard, a hyperlink, a cleared screen, a moved cursor, in 7 and 8 bits; a form feed, a bell, a backspace. */
const ATTACKS = [
  '\x1b]0;title\x07',
  '\x1b]52;c;cm0gLXJm\x1b\\',
  '\x1b]8;;http://x\x1b\\link',
  '\x1b[2J\x1b[1;1H',
  '\x1b[8m\x1b[?25l',
  '\x9b2J\x9d0;title\x9c',
  '\x1bP$q\x1b\\',
  '\x1bc',
  'a\rb\x08c\x0c\x07\x7f',
  '\u202etxt.exe\u2066',
];

function setUp(isTTY: boolean) {
  const cursor = { cursorTo: () => true, clearLine: () => true, moveCursor: () => true };
  const io = () =>
    Object.assign(new PassThrough(), { isTTY, columns: 200, ...cursor }) as unknown as NodeJS.WriteStream;
  const [out, err] = [io(), io()];
  const terminal = new Terminal({ out, err, in: process.stdin, env: {} });
  const written = () => `${String(out.read() ?? '')}${String(err.read() ?? '')}`;
  return { terminal, out, err, written };
}

/** Every way in which text of others reaches a stream, logs apart. */
async function writeEverywhere({ terminal, err, written }: ReturnType<typeof setUp>, text: string): Promise<string> {
  terminal.print(text);
  terminal.print(terminal.colors.bold(terminal.colors.red(text)));
  terminal.note(text);
  terminal.warn(text);
  terminal.json({ [text]: text });
  terminal.table(['NAME'], [[text], [text]]);
  printError(err, text, text);
  return written();
}

/** Random bytes, as UTF-8 and as Latin-1, with real sequences between them. */
const anyText = fc
  .array(
    fc.oneof(
      fc.constantFrom(...ATTACKS),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('utf8')),
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((parts) => parts.join(''));

const controlsIn = (text: string) => (text.match(CONTROLS) ?? []).filter((one) => !['\n', '\t'].includes(one));

describe('a terminal', () => {
  it('gets no control character of others', async () => {
    await fc.assert(
      fc.asyncProperty(anyText, async (text) => {
        const written = await writeEverywhere(setUp(true), text);
        expect(controlsIn(written.replace(SGR, ''))).toEqual([]);
        expect(written).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
      }),
      { numRuns: 300 },
    );
  });

  it('gets the colors of runctl, and escapes those of others', async () => {
    const { terminal, written } = setUp(true);
    terminal.print(`${terminal.colors.red('failed')} \x1b[32mfake\x1b[39m`);
    expect(written()).toBe('\x1b[31mfailed\x1b[39m \\x1b[32mfake\\x1b[39m\n');
  });

  it('gets a log with newline, tab and colors only, which end with their line', async () => {
    await fc.assert(
      fc.asyncProperty(anyText, async (text) => {
        const { terminal, written } = setUp(true);
        const sink = new LogSink(terminal, { job: 'train', format: 'text' });
        await sink.write([{ text: `${text}\n`, at: 0 }], never);
        await sink.end(never);
        const print = eventPrinter((line) => terminal.print(line), terminal.colors);
        print({ kind: 'line', line: { job: 'train', text, at: 0 } });
        expect(controlsIn(written().replace(SGR, ''))).toEqual([]);
      }),
      { numRuns: 300 },
    );
    const { terminal, written } = setUp(true);
    await terminal.printLog(['a\t\x1b[1;31mred', 'b'], never);
    expect(written()).toBe('a\t\x1b[1;31mred\x1b[0m\nb\n');
  });

  it('gets no control sequence of others with a spinner', async () => {
    const { terminal, written } = setUp(true);
    await terminal.working(ATTACKS.join(''), async (update) => update(ATTACKS.join('')));
    const output = written();
    for (const attack of ATTACKS) expect(output).not.toContain(attack);
    expect(output).toContain('\\x1b]0;title\\x07');
  });

  it('gets the bytes of --raw as they are', async () => {
    const { terminal, written } = setUp(true);
    const sink = new LogSink(terminal, { job: 'train', format: 'raw' });
    await sink.write([{ text: ATTACKS.join(''), at: 0 }], never);
    expect(written()).toBe(ATTACKS.join(''));
  });
});

describe('a pipe', () => {
  it('gets text as it is, and no colors of runctl', async () => {
    await fc.assert(
      fc.asyncProperty(anyText, async (text) => {
        const { terminal, written } = setUp(false);
        terminal.print(terminal.colors.red(text));
        terminal.note(terminal.colors.log(text));
        await terminal.printLog([text], never);
        expect(written()).toBe(`${text}\n`.repeat(3));
      }),
    );
  });

  it('of errors beside a terminal gets no colors either', () => {
    const { terminal, err } = setUp(true);
    Object.assign(err, { isTTY: false });
    terminal.warn('beware');
    expect(String(err.read())).toBe('warning: beware\n');
  });

  it('gets JSON that is safe to show later', () => {
    const { terminal, written } = setUp(false);
    terminal.json({ name: '\x9b2J\u202e\n' });
    const text = written();
    expect(text).toBe('{\n  "name": "\\u009b2J\\u202e\\n"\n}\n');
    expect(JSON.parse(text)).toEqual({ name: '\x9b2J\u202e\n' });
  });
});
