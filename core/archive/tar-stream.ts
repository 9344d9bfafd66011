import { ArchiveError, type ArchiveErrorName } from './errors.ts';
import { sniff } from './sniff.ts';
import { BLOCK_BYTES } from './tar-header.ts';
import { firstNonZero } from './zeros.ts';

/** What follows a header. */
export interface TarBody {
  /** Bytes of content, without the padding to whole blocks. */
  readonly size: number;
  /** Whether `body` wants the content; else it is passed over without being looked at. */
  readonly keep: boolean;
}

/** The one who judges what a tar holds. What a method throws, `push` throws. */
export interface TarConsumer {
  /** @param block is overwritten by the next one. */
  header(block: Buffer, at: number): TarBody;
  /** The whole content that was asked for, and the padding after it, which some readers read too. */
  body(bytes: Buffer, padding: Buffer): void;
  /** What is being read, for a message: the words after "in the middle of". */
  readonly reading: string;
}

/**
 * Cuts the bytes of a tar into headers and contents. It ends at the first block of zeros, as readers do, and then allows
 * zeros only: whatever else follows would be read by some programs (`--ignore-zeros`) and not by others.
 */
export class TarStream {
  readonly #consumer: TarConsumer;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  /** Bytes of `#block` that are there. */
  #filled = 0;
  /** Whole blocks of content being kept, how much of that is content, and how much of it is there. */
  #kept: Buffer | null = null;
  #keptSize = 0;
  #keptBytes = 0;
  /** Bytes to pass over: content that nobody wants, and padding. */
  #skip = 0;
  #headers = 0;
  #endAt: number | null = null;
  #offset = 0;

  constructor(consumer: TarConsumer) {
    this.#consumer = consumer;
  }

  /** Bytes of the tar so far. */
  get bytes(): number {
    return this.#offset;
  }

  /** @throws ArchiveError, or what the consumer threw. */
  push(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      const taken = this.#endAt === null ? this.#take(rest) : this.#padding(rest);
      this.#offset += taken;
      rest = rest.subarray(taken);
    }
  }

  /** Passes over content that the consumer does not want, and its padding, without the bytes themselves. */
  skip(size: number): void {
    const blocks = Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    if (blocks !== this.#skip)
      throw new Error(`${this.#consumer.reading} has ${this.#skip} bytes to skip, not ${blocks}`);
    this.#offset += blocks;
    this.#skip = 0;
  }

  /** @throws ArchiveError ArchiveTruncated, ArchiveNotTar, ArchiveEmpty unless the end mark was seen. */
  end(): void {
    if (this.#endAt !== null) return;
    if (this.#offset === 0)
      throw this.#error('ArchiveEmpty', 'The gzip file holds nothing', 'Pack the project folder.');
    if (this.#headers === 0) throw this.#foreign();
    const middle = this.#kept !== null || this.#skip > 0 || this.#filled > 0;
    const where = middle
      ? `in the middle of ${this.#consumer.reading}`
      : `after ${this.#consumer.reading}, without its end mark`;
    throw this.#error(
      'ArchiveTruncated',
      `The tar stops ${where}`,
      'The packing was cut off (disk full, or killed?): pack it again.',
    );
  }

  #take(chunk: Buffer): number {
    if (this.#kept !== null) return this.#keep(this.#kept, chunk);
    if (this.#skip > 0) {
      const taken = Math.min(this.#skip, chunk.length);
      this.#skip -= taken;
      return taken;
    }
    const taken = chunk.copy(this.#block, this.#filled);
    this.#filled += taken;
    if (this.#filled === BLOCK_BYTES) this.#header(this.#offset + taken - BLOCK_BYTES);
    return taken;
  }

  #header(at: number): void {
    this.#filled = 0;
    if (firstNonZero(this.#block) === null) {
      this.#endAt = at;
      return;
    }
    const { size, keep } = this.#consumer.header(this.#block, at);
    this.#headers++;
    // A number up to 2^53 stays exact.
    const blocks = Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    if (!keep) {
      this.#skip = blocks;
      return;
    }
    this.#kept = Buffer.alloc(blocks);
    this.#keptSize = size;
    this.#keptBytes = 0;
    if (size === 0) this.#handOver(this.#kept);
  }

  #keep(kept: Buffer, chunk: Buffer): number {
    const taken = chunk.copy(kept, this.#keptBytes);
    this.#keptBytes += taken;
    if (this.#keptBytes === kept.length) this.#handOver(kept);
    return taken;
  }

  #handOver(kept: Buffer): void {
    this.#kept = null;
    this.#consumer.body(kept.subarray(0, this.#keptSize), kept.subarray(this.#keptSize));
  }

  #padding(chunk: Buffer): number {
    const found = firstNonZero(chunk);
    if (found === null) return chunk.length;
    this.#offset += found;
    throw this.#error(
      'ArchiveTrailingData',
      'Something follows the end of the tar: a second archive, or data that was appended',
      'Pack all files into one archive.',
    );
  }

  #foreign(): ArchiveError {
    const holds = `The gzip file holds ${sniff(this.#block.subarray(0, this.#filled))}, not a tar`;
    return this.#error('ArchiveNotTar', holds, 'Pack it with tar czf.');
  }

  #error(name: ArchiveErrorName, what: string, next: string): ArchiveError {
    return new ArchiveError(name, { what, next, at: { in: 'tar', byte: this.#offset } });
  }
}
