import { RunError } from '../errors.ts';

/** PutLogEvents' limits: 1,048,576 bytes counting 26 an event, 10,000 events. */
const EVENT_OVERHEAD = 26;
const BATCH_BYTES = 1_048_576;
const BATCH_EVENTS = 10_000;
/** Older regions take 256 KB an event. */
const EVENT_BYTES = 262_144 - EVENT_OVERHEAD;
/** Events older or later than this come back as rejected, inside a successful answer. */
const OLDEST_MS = 14 * 86_400_000;
const LATEST_MS = 2 * 3_600_000;
const NEWLINE = 0x0a;

export interface LogMessages {
  /** One a line, with its newline; the last one may be an unfinished line. Never empty strings. */
  readonly messages: readonly string[];
  /** Raw bytes of the chunk that the messages cover; the rest is the beginning of a character, sent with the next chunk. */
  readonly consumed: number;
  /** UTF-8 bytes of the text that they cover, including skipped ones. */
  readonly textBytes: number;
}

/**
 * Turns raw log bytes into messages which, concatenated, are the log when it is UTF-8 text; NUL and bytes that are not UTF-8 appear as `\xNN`.
 * @param final no more bytes will come: a half character is shown as escapes rather than held back
 * @param skip bytes (of UTF-8 text) at the beginning that the stream already has, from an attempt that was killed after writing
 */
export function toMessages(chunk: Uint8Array, options: { final: boolean; skip?: number }): LogMessages {
  const held = options.final ? 0 : unfinishedCharacter(chunk);
  const consumed = chunk.length - held;
  const text = decode(chunk.subarray(0, consumed));
  const bytes = Buffer.from(text, 'utf8');
  return { messages: lines(bytes.subarray(options.skip ?? 0)), consumed, textBytes: bytes.length };
}

function decode(bytes: Uint8Array): string {
  if (!bytes.includes(0)) {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      // Not UTF-8 throughout: the slow way shows each odd byte.
    }
  }
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes, at);
    if (length > 0 && bytes[at] !== 0) {
      at += length;
      continue;
    }
    parts.push(Buffer.from(bytes.subarray(start, at)).toString('utf8'), escapeByte(bytes[at] ?? 0));
    at += 1;
    start = at;
  }
  parts.push(Buffer.from(bytes.subarray(start)).toString('utf8'));
  return parts.join('');
}

const escapeByte = (byte: number) => `\\x${byte.toString(16).padStart(2, '0')}`;

/** The length of the valid UTF-8 character at `at` (RFC 3629: no surrogates, no overlong forms), or 0. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = sequenceLength(first);
  if (length === 0 || at + length > bytes.length) return 0;
  const second = bytes[at + 1] ?? 0;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let i = 2; i < length; i += 1) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}

function sequenceLength(first: number): number {
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (first >= 0xf0 && first <= 0xf4) return 4;
  return 0;
}

/** Bytes at the end that may be the beginning of a character. */
function unfinishedCharacter(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    return sequenceLength(byte) > back ? back : 0;
  }
  return 0;
}

function lines(bytes: Buffer): string[] {
  const messages: string[] = [];
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start);
    const lineEnd = newline === -1 ? bytes.length : newline + 1;
    let end = Math.min(lineEnd, start + EVENT_BYTES);
    if (end < lineEnd) while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
    messages.push(bytes.toString('utf8', start, end));
    start = end;
  }
  return messages;
}

/**
 * What CloudWatch would refuse, or drop inside a 200, is a defect of ours and must not pass on an emulator that takes everything.
 * @param time of all the messages, and `now`: epoch ms
 * @throws RunError `Internal` that says which limit
 */
export function checkBatch(batch: readonly string[], time: number, now: number): void {
  const sizes = batch.map((message) => Buffer.byteLength(message));
  const bytes = sizes.reduce((sum, size) => sum + size + EVENT_OVERHEAD, 0);
  const wrong = [
    [batch.length === 0, 'no event'],
    [batch.length > BATCH_EVENTS, `more than ${BATCH_EVENTS} events`],
    [bytes > BATCH_BYTES, `${bytes} bytes, and ${BATCH_BYTES} fit`],
    [sizes.includes(0), 'an empty message'],
    [sizes.some((size) => size > EVENT_BYTES), `an event of more than ${EVENT_BYTES} bytes`],
    [!Number.isSafeInteger(time) || time < now - OLDEST_MS, 'an event of more than 14 days ago'],
    [time > now + LATEST_MS, 'an event of more than 2 hours ahead'],
  ] as const;
  const found = wrong.find(([is]) => is);
  if (found) throw new RunError('Internal', `a batch of log events has ${found[1]}`);
}

/** Groups messages into PutLogEvents calls, in order. */
export function toBatches(messages: readonly string[]): string[][] {
  const batches: string[][] = [];
  let batch: string[] = [];
  let size = 0;
  for (const message of messages) {
    const bytes = Buffer.byteLength(message) + EVENT_OVERHEAD;
    if (batch.length > 0 && (size + bytes > BATCH_BYTES || batch.length === BATCH_EVENTS)) {
      batches.push(batch);
      batch = [];
      size = 0;
    }
    batch.push(message);
    size += bytes;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
