import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { GZIP_MEMBERS } from './caps.ts';
import { ArchiveError, type ArchiveErrorName } from './errors.ts';
import { gzipHeaderLength } from './gzip-header.ts';
import { Inflate } from './inflate.ts';
import { type Member, memberDigestOf } from './members.ts';
import { firstNonZero } from './zeros.ts';

const TRAILER_BYTES = 8;
const NOTHING = Buffer.alloc(0);

/**
 * Unpacks gzip members that follow one another, strictly: every CRC and length is checked, and after the last member
 * only zero bytes may come (tapes and some uploaders pad with them). The members' contents are one stream.
 */
export class Gunzip {
  readonly #consume: (output: Buffer) => void;
  #state: 'header' | 'body' | 'trailer' | 'padding' = 'header';
  /** Bytes of a header or trailer that goes on in the next chunk. */
  #pending: Buffer = NOTHING;
  #inflate: Inflate | null = null;
  /** The members that are whole. */
  readonly members: Member[] = [];
  #memberHash: Hash = createHash('sha256');
  #memberAt = 0;
  #members = 0;
  readonly #maxMembers: number;
  /** Bytes of the upload dealt with. */
  #offset = 0;
  #crc = 0;
  #size = 0;

  /** @param consume gets the unpacked bytes; what it throws, `write` throws. */
  constructor(consume: (output: Buffer) => void, maxMembers = GZIP_MEMBERS) {
    this.#consume = consume;
    this.#maxMembers = maxMembers;
  }

  /**
   * @param chunk the next bytes of the upload: keep them small (64 KiB become at most 64 MiB before `consume` can stop it).
   * @throws ArchiveError, or what `consume` threw.
   */
  async write(chunk: Buffer): Promise<void> {
    let rest = chunk;
    while (rest.length > 0) rest = this.#state === 'body' ? await this.#body(rest) : this.#frame(rest);
  }

  /** @throws ArchiveError ArchiveTruncated unless the last member is whole. */
  end(): void {
    if (this.#state === 'padding') return;
    if (this.#state === 'header' && this.#members > 0 && this.#pending.length === 0) return;
    const part = { header: 'header', body: 'data', trailer: 'checksum', padding: '' }[this.#state];
    throw this.#error('ArchiveTruncated', `It ends in the middle of its gzip ${part}`, {
      at: this.#offset + this.#pending.length,
      next: 'The upload or the packing was cut off: pack and upload it again.',
    });
  }

  destroy(): void {
    this.#inflate?.destroy();
    this.#inflate = null;
  }

  async #body(chunk: Buffer): Promise<Buffer> {
    this.#inflate ??= new Inflate((output) => {
      this.#crc = crc32(output, this.#crc);
      this.#size += output.length;
      this.#consume(output);
    });
    let taken: number;
    try {
      taken = await this.#inflate.write(chunk);
    } catch (error) {
      if (!isZlibError(error)) throw error;
      throw this.#error('ArchiveCorrupt', `Its compressed data is damaged: ${error.message}`, {
        next: 'The file was changed on its way or on disk: pack and upload it again.',
      });
    }
    this.#memberHash.update(chunk.subarray(0, taken));
    this.#offset += taken;
    if (taken < chunk.length) {
      this.destroy();
      this.#state = 'trailer';
    }
    return chunk.subarray(taken);
  }

  /** Deals with what is not compressed data; returns what it did not use. */
  #frame(chunk: Buffer): Buffer {
    if (this.#state === 'padding') return this.#padding(chunk);
    const bytes = this.#pending.length > 0 ? Buffer.concat([this.#pending, chunk]) : chunk;
    const wasTrailer = this.#state === 'trailer';
    const used = wasTrailer ? this.#trailer(bytes) : this.#header(bytes);
    if (used === null) {
      this.#pending = Buffer.from(bytes);
      return NOTHING;
    }
    this.#pending = NOTHING;
    this.#memberHash.update(bytes.subarray(0, used));
    this.#offset += used;
    if (wasTrailer) this.#endMember();
    return bytes.subarray(used);
  }

  #header(bytes: Buffer): number | null {
    if (this.#members > 0 && bytes[0] === 0) {
      this.#state = 'padding';
      return 0;
    }
    const magic = bytes[0] === 0x1f && (bytes.length < 2 || bytes[1] === 0x8b);
    if (!magic) throw this.#garbage(this.#offset);
    const length = gzipHeaderLength(bytes, this.#offset);
    if (length === null) return null;
    if (++this.#members > this.#maxMembers) {
      throw this.#error('ArchiveTooLarge', `It is made of more than ${this.#maxMembers} gzip members`, {
        next: 'Pack it with tar czf.',
      });
    }
    this.#state = 'body';
    this.#crc = 0;
    this.#size = 0;
    return length;
  }

  #trailer(bytes: Buffer): number | null {
    if (bytes.length < TRAILER_BYTES) return null;
    if (bytes.readUInt32LE(0) !== this.#crc || bytes.readUInt32LE(4) !== this.#size % 2 ** 32) {
      throw this.#error('ArchiveCorrupt', 'Its content does not match its own checksum (CRC-32)', {
        next: 'The file was changed on its way or on disk: pack and upload it again.',
      });
    }
    this.#state = 'header';
    return TRAILER_BYTES;
  }

  #endMember(): void {
    const digest = memberDigestOf(this.#memberHash);
    this.members.push({ bytes: this.#offset - this.#memberAt, content: this.#size, digest });
    this.#memberHash = createHash('sha256');
    this.#memberAt = this.#offset;
  }

  #padding(chunk: Buffer): Buffer {
    const garbage = firstNonZero(chunk);
    if (garbage !== null) throw this.#garbage(this.#offset + garbage);
    this.#offset += chunk.length;
    return NOTHING;
  }

  #garbage(at: number): ArchiveError {
    if (this.#members === 0) {
      return this.#error('ArchiveNotGzip', 'It does not begin with a gzip header', {
        at,
        next: 'Pack it with tar czf.',
      });
    }
    return this.#error('ArchiveTrailingData', 'Something follows the end of the gzip data', {
      at,
      next: 'Remove what was appended, or pack it again with tar czf.',
    });
  }

  #error(
    name: ArchiveErrorName,
    what: string,
    { next, at = this.#offset }: { next: string; at?: number },
  ): ArchiveError {
    return new ArchiveError(name, { what, next, at: { in: 'upload', byte: at } });
  }
}

function isZlibError(error: unknown): error is Error & { code: string } {
  // Z_MEM_ERROR is ours, not the archive's.
  return error instanceof Error && 'code' in error && (error.code === 'Z_DATA_ERROR' || error.code === 'Z_NEED_DICT');
}
