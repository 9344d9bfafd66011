import { MAX_LINE_BYTES } from './point.ts';

const NEWLINE = 0x0a;
const RETURN = 0x0d;

export interface Segment {
  readonly text: string;
  /** Of its first byte in the log. */
  readonly offset: number;
  /** It ends a line; otherwise a carriage return follows, as behind a progress bar. */
  readonly endsLine: boolean;
}

/**
 * Splits the bytes of a log at newlines and carriage returns, however they arrive. Holds no more than one line of the allowed length;
 * what is longer is skipped and counted.
 */
export class SegmentSplitter {
  readonly #parts: Uint8Array[] = [];
  #held = 0;
  #length = 0;
  #start: number;
  skipped = 0;

  /** @param offset of the first byte in the log */
  constructor(offset = 0) {
    this.#start = offset;
  }

  push(chunk: Uint8Array): Segment[] {
    const segments: Segment[] = [];
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let newline = find(bytes, NEWLINE, 0);
    let carriage = find(bytes, RETURN, 0);
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(newline, carriage);
      if (end === bytes.length || this.#length > 0) this.#hold(bytes.subarray(at, end));
      else this.#length = end - at;
      if (end < bytes.length) this.#finish(end === newline, bytes, at, segments);
      at = end + 1;
      if (end === newline) newline = find(bytes, NEWLINE, at);
      if (end === carriage) carriage = find(bytes, RETURN, at);
    }
    return segments;
  }

  /** The unfinished line at the end of a log. */
  end(): Segment[] {
    const segments: Segment[] = [];
    if (this.#length > 0) this.#finish(true, Buffer.alloc(0), 0, segments);
    return segments;
  }

  /** Of a line that goes over chunks. */
  #hold(bytes: Uint8Array): void {
    this.#length += bytes.length;
    if (this.#length > MAX_LINE_BYTES) this.#drop();
    else if (bytes.length > 0) {
      this.#parts.push(bytes.slice()); // The caller may use its buffer again.
      this.#held += bytes.length;
    }
  }

  #drop(): void {
    this.#parts.length = 0;
    this.#held = 0;
  }

  /** @param from where the line begins in `bytes`, if no part of it is held */
  #finish(endsLine: boolean, bytes: Buffer, from: number, segments: Segment[]): void {
    const length = this.#length;
    if (length > MAX_LINE_BYTES) this.skipped += 1;
    // An empty one is reported at the end of a line, which closes what a carriage return has left open.
    else if (length > 0 || endsLine) {
      const isHeld = this.#held > 0;
      const text = isHeld
        ? Buffer.concat(this.#parts, this.#held).toString('utf8')
        : bytes.toString('utf8', from, from + length);
      segments.push({ text, offset: this.#start, endsLine });
    }
    if (this.#held > 0) this.#drop();
    this.#length = 0;
    this.#start += length + 1;
  }
}

/** @returns the length when there is none */
function find(bytes: Buffer, byte: number, from: number): number {
  const found = bytes.indexOf(byte, from);
  return found === -1 ? bytes.length : found;
}
