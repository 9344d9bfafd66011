import { createInflateRaw, type InflateRaw } from 'node:zlib';

/** Bytes of output that zlib hands over at once. Larger gains nothing, and each is garbage a moment later. */
const OUTPUT_BYTES = 128 * 1024;

/**
 * One deflate stream that says exactly where it ended. `createGunzip` cannot: it goes on to a second member and drops
 * garbage after the end without a word, and both must be seen here.
 */
export class Inflate {
  readonly #raw: InflateRaw;
  readonly #consume: (output: Buffer) => void;
  #written = 0;
  #failure: unknown = null;
  #reject: (error: unknown) => void = () => {};

  /** @param consume gets each piece of output in order, before `write` ends; what it throws, `write` throws. */
  constructor(consume: (output: Buffer) => void) {
    this.#consume = consume;
    this.#raw = createInflateRaw({ chunkSize: OUTPUT_BYTES });
    this.#raw.on('data', (output: Buffer) => this.#take(output));
    this.#raw.on('error', (error) => this.#reject(error));
  }

  /**
   * Inflates one chunk: nothing of it is left waiting when this ends, so memory is bounded by the caller's chunk.
   * @returns how many bytes the stream took: fewer than the chunk has when it ended inside it. A stream that ends
   * with the last byte of a chunk takes 0 of the next.
   * @throws zlib's error (`code` begins with `Z_`) or what `consume` threw.
   */
  async write(chunk: Uint8Array): Promise<number> {
    const before = this.#written;
    await new Promise<void>((resolve, reject) => {
      this.#reject = reject;
      this.#raw.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
    // Output that the stream had to keep back comes through 'data' too.
    while (this.#raw.read() !== null);
    if (this.#failure !== null) throw this.#failure;
    this.#written = this.#raw.bytesWritten;
    return this.#written - before;
  }

  /** Frees zlib's memory. */
  destroy(): void {
    this.#raw.destroy();
  }

  #take(output: Buffer): void {
    if (this.#failure !== null) return;
    try {
      this.#consume(output);
    } catch (error) {
      // Thrown here it would be nobody's: kept for `write`.
      this.#failure = error;
    }
  }
}
