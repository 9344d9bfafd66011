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
  #offset: number;
  #start: number;
  skipped = 0;

  /** @param offset of the first byte in the log */
  constructor(offset = 0) {
    this.#offset = offset;
    this.#start = offset;
  }

  push(chunk: Uint8Array): Segment[] {
    const segments: Segment[] = [];
    for (let at = 0; at < chunk.length; ) {
      const end = nextEnd(chunk, at);
      this.#hold(chunk.subarray(at, end));
      if (end < chunk.length) this.#finish(chunk[end] === NEWLINE, segments);
      at = end + 1;
    }
    return segments;
  }

  /** The unfinished line at the end of a log. */
  end(): Segment[] {
    const segments: Segment[] = [];
    if (this.#length > 0) this.#finish(true, segments);
    return segments;
  }

  #hold(bytes: Uint8Array): void {
    this.#length += bytes.length;
    this.#offset += bytes.length;
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

  #finish(endsLine: boolean, segments: Segment[]): void {
    if (this.#length > MAX_LINE_BYTES) this.skipped += 1;
    // An empty one is reported at the end of a line, which closes what a carriage return has left open.
    else if (this.#length > 0 || endsLine)
      segments.push({ text: Buffer.concat(this.#parts, this.#held).toString('utf8'), offset: this.#start, endsLine });
    this.#drop();
    this.#length = 0;
    this.#offset += 1;
    this.#start = this.#offset;
  }
}

function nextEnd(chunk: Uint8Array, from: number): number {
  for (let at = from; at < chunk.length; at += 1) if (chunk[at] === NEWLINE || chunk[at] === RETURN) return at;
  return chunk.length;
}
