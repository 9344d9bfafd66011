/**
 * Noncharacters, which no text has: they enclose the parameters of a color (an SGR sequence, ESC [ … m) until the text is
 * written. So the colors of runctl survive when the control characters of everybody else are escaped.
 */
const OPEN = '\ufdd0';
const CLOSE = '\ufdd1';
const MARKED = new RegExp(`${OPEN}([\\d;:]*)${CLOSE}`, 'g');
const SGR = new RegExp(`${String.fromCharCode(0x1b)}\\[([\\d;:]*)m`, 'g');
/** C0, DEL, C1, line and paragraph separators, and the characters that turn the direction of the text after them. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufdd0\ufdd1]/gu;
const KEPT = ['\n', '\t'];
const RESET = mark('0');

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
} as const;

/** Colors a text of ours for {@link toTerminal}. */
export type Style = Readonly<Record<keyof typeof CODES, (text: string) => string>> & {
  /** A line of a log, which keeps its own colors and nothing else. */
  readonly log: (line: string) => string;
};

export function createStyle(on: { readonly isTerminal: boolean; readonly colors: boolean }): Style {
  const color = ([start, end]: readonly [number, number]) =>
    on.colors ? (text: string) => `${mark(start)}${text}${mark(end)}` : (text: string) => text;
  const entries = Object.entries(CODES).map(([name, codes]) => [name, color(codes)] as const);
  return {
    ...(Object.fromEntries(entries) as Record<keyof typeof CODES, (text: string) => string>),
    log: on.isTerminal ? keepColors : (line) => line,
  };
}

/** What a terminal may get: every control character is shown as an escape, except newline, tab, and marked colors. */
export function toTerminal(text: string): string {
  return text
    .split(MARKED)
    .map((part, index) => (index % 2 === 1 ? `\x1b[${part}m` : part.replace(CONTROL, escapeOthers)))
    .join('');
}

/** For a stream that shows no colors. */
export function withoutColors(text: string): string {
  return text.replace(MARKED, '');
}

/** JSON in which no control character is left as it is: JSON.stringify escapes only those below U+0020. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(CONTROL, (character) =>
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Text for one line of a table or a spinner: its newlines and tabs are escaped too. */
export function onOneLine(text: string): string {
  return text.replace(/[\n\t]/g, escapeAlways);
}

/** A color that the line does not end would color what runctl prints after it. */
function keepColors(line: string): string {
  const kept = line.replace(SGR, (_, parameters: string) => mark(parameters));
  return kept === line ? line : `${kept}${RESET}`;
}

function mark(parameters: string | number): string {
  return `${OPEN}${parameters}${CLOSE}`;
}

function escapeOthers(character: string): string {
  return KEPT.includes(character) ? character : escapeAlways(character);
}

function escapeAlways(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (character === '\n') return '\\n';
  if (character === '\t') return '\\t';
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}
