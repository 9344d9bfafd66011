import { firstNonZero } from './zeros.ts';

/** A tar header is one block, and contents are padded to whole blocks. */
export const BLOCK_BYTES = 512;

/** What this reader takes from a header block, undecoded where decoding needs a judgement. */
export interface TarHeader {
  /** `gnu` and `v7` have no prefix field; PAX archives carry the `ustar` mark. */
  readonly format: 'ustar' | 'gnu' | 'v7';
  /** One character; NUL in old archives. */
  readonly type: string;
  /** The header's own name, `prefix/name`, without NULs. */
  readonly name: Uint8Array;
  /** Whether the name field is full, so the name may be the beginning of a longer one. */
  readonly nameFull: boolean;
  /** Bytes of content that follow. May be negative or beyond 2^53 (then Infinity) in an attack. */
  readonly size: number;
  /**
   * Whether there is something where the format has nothing: times of incremental archives, sparse maps. Some readers take
   * it for the front of the name, others for a map of the content, whatever the type.
   */
  readonly extra: boolean;
}

/** Name, first byte, length of every number field that tar programs read (Python's tarfile stops reading at a bad one). */
const NUMBERS = [
  ['mode', 100, 8],
  ['owner', 108, 8],
  ['group', 116, 8],
  ['size', 124, 12],
  ['time', 136, 12],
  ['device', 329, 8],
  ['device', 337, 8],
] as const;

/** A header that cannot be read, and why: a few words that follow "Its header has". */
export interface BadTarHeader {
  readonly bad: string;
  /** Whether the block is no tar header at all. */
  readonly foreign: boolean;
}

/**
 * Reads one header block (POSIX ustar, GNU, V7), strictly. Own code, since tar-stream and node-tar read on through what must be
 * judged here: end marks inside the archive, damaged numbers, names that two fields disagree about.
 */
export function readTarHeader(block: Uint8Array): TarHeader | BadTarHeader {
  const sum = readNumber(block, 148, 8);
  if (sum === null || !checksums(block).includes(sum)) return { bad: 'a wrong checksum', foreign: true };
  const format = readFormat(block);
  if (format === null) return { bad: 'an unknown format mark', foreign: true };
  let size = 0;
  for (const [field, start, length] of NUMBERS) {
    const value = readNumber(block, start, length);
    if (value === null) return { bad: `a damaged number (${field})`, foreign: false };
    if (field === 'size') size = value;
  }
  const name = untilZero(block, 0, 100);
  const prefix = format === 'ustar' ? untilZero(block, 345, 155) : name.subarray(0, 0);
  return {
    format,
    type: String.fromCharCode(block[156] ?? 0),
    name: prefix.length === 0 ? name : joined(prefix, name),
    nameFull: name.length === 100,
    size,
    extra: firstNonZero(block.subarray(format === 'ustar' ? 500 : 345)) !== null,
  };
}

/** @returns the bytes of a field up to its first NUL. */
export function untilZero(bytes: Uint8Array, start: number, length: number): Uint8Array {
  const zero = bytes.subarray(start, start + length).indexOf(0);
  return bytes.subarray(start, start + (zero < 0 ? length : zero));
}

function joined(prefix: Uint8Array, name: Uint8Array): Uint8Array {
  const path = new Uint8Array(prefix.length + 1 + name.length);
  path.set(prefix);
  path[prefix.length] = 0x2f;
  path.set(name, prefix.length + 1);
  return path;
}

function readFormat(block: Uint8Array): TarHeader['format'] | null {
  const mark = String.fromCharCode(...block.subarray(257, 265));
  if (mark.startsWith('ustar\0')) return 'ustar';
  if (mark.startsWith('ustar ')) return 'gnu';
  return mark === '\0'.repeat(8) ? 'v7' : null;
}

/** Octal digits, spaces before them, spaces and NULs after; or GNU's base 256. Null when it is neither. */
function readNumber(block: Uint8Array, start: number, length: number): number | null {
  const first = block[start] ?? 0;
  if (first === 0x80 || first === 0xff) return readBase256(block.subarray(start, start + length));
  const end = start + length;
  let at = start;
  while (at < end && block[at] === 0x20) at += 1;
  let value = 0;
  for (; at < end && isOctal(block[at]); at += 1) value = value * 8 + (block[at] as number) - 0x30;
  // Digits after a NUL count for some readers.
  while (at < end && (block[at] === 0x20 || block[at] === 0)) at += 1;
  return at === end ? value : null;
}

function isOctal(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x37;
}

function readBase256(bytes: Uint8Array): number {
  const negative = bytes[0] === 0xff;
  let value = negative ? -1n : 0n;
  for (const byte of bytes.subarray(1)) value = value * 256n + BigInt(byte);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : negative ? -Infinity : Infinity;
}

/** The sum of the block with its checksum field as spaces; some old programs summed signed bytes. */
function checksums(block: Uint8Array): [unsigned: number, signed: number] {
  let unsigned = 8 * 0x20;
  let high = 0;
  for (let index = 0; index < BLOCK_BYTES; index++) {
    if (index === 148) index = 156;
    const byte = block[index] ?? 0;
    unsigned += byte;
    if (byte > 127) high++;
  }
  return [unsigned, unsigned - 256 * high];
}
