/** Longest name that is shown whole; a longer one loses its middle. */
const SHOWN = 120;

// Line and paragraph separators, and the characters that turn the direction of the text after them, can make a log line
// say something else: they are shown as escapes, and refused in names (entry-name.ts).
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069\ufeff]/u;
const UNPRINTABLES = new RegExp(UNPRINTABLE, 'gu');
/** Most names: shown as they are, and decided in one pass. */
const PLAIN = /^[ !#-[\]-~]{0,120}$/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @returns the first character of `text` that must not reach a log as it is, or null. */
export function findUnprintable(text: string): string | null {
  return UNPRINTABLE.exec(text)?.[0] ?? null;
}

/** @returns `text` in quotes, on one line, at most about 120 characters long, harmless in any log or terminal. */
export function printable(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  const characters = [...text];
  const half = SHOWN / 2;
  const short =
    characters.length <= SHOWN
      ? text
      : `${characters.slice(0, half).join('')}…${characters.slice(characters.length - half).join('')}`;
  return `"${short.replace(/["\\]/g, '\\$&').replace(UNPRINTABLES, escaped)}"`;
}

/** @returns bytes that are not UTF-8 (or may not be) as `printable` does, each odd byte as `\xNN`. */
export function printableBytes(bytes: Uint8Array): string {
  try {
    return printable(utf8.decode(bytes));
  } catch {
    const latin = [...bytes].map((byte) => (byte < 0x20 || byte > 0x7e ? hex(byte) : String.fromCharCode(byte)));
    const half = SHOWN / 2;
    return `"${latin.length <= SHOWN ? latin.join('') : [...latin.slice(0, half), '…', ...latin.slice(-half)].join('')}"`;
  }
}

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (character === '\n') return '\\n';
  if (character === '\t') return '\\t';
  return code < 0x100 ? hex(code) : `\\u{${code.toString(16)}}`;
}
