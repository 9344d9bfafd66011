import { createHash } from 'node:crypto';
import { formatSize } from '../units.ts';
import { type ArchiveCaps, overCap, RATIO_FLOOR_BYTES } from './caps.ts';
import type { CaptureOptions } from './capture.ts';
import { Entries, type EntriesReport } from './entries.ts';
import { ArchiveError } from './errors.ts';
import { Gunzip } from './gunzip.ts';
import type { Member } from './members.ts';
import { sniff } from './sniff.ts';
import { TarStream } from './tar-stream.ts';

export { type ArchiveCaps, DEFAULT_CAPS } from './caps.ts';
export type { ArchiveFile } from './entries.ts';
export { ARCHIVE_ERROR_NAMES, ArchiveError, type ArchiveErrorName } from './errors.ts';

/** What the archive is and holds. */
export interface ArchiveReport extends EntriesReport {
  /** Hex digest of the upload's bytes. */
  readonly sha256: string;
  /** Bytes of the upload. */
  readonly bytes: number;
  /** Bytes of the tar inside it. */
  readonly expandedBytes: number;
  /** Its gzip members. */
  readonly members: readonly Member[];
}

export interface VerifyOptions {
  readonly caps: ArchiveCaps;
  readonly capture: CaptureOptions;
  /** Whether the digest of a file is wanted, by its name; default: of none. */
  readonly digest?: (name: string) => boolean;
}

/** At most this much goes to zlib at once: deflate makes 1,032 times as much of it before the caps can look, 64 MiB. */
const PIECE_BYTES = 64 * 1024;

/**
 * Reads an archive once, from its bytes as they come, and judges it. Nothing is extracted and nothing kept but names and
 * the captured files: memory does not grow with the archive.
 * @param body the upload; destroyed (its iterator's `return`) when the archive is refused.
 * @throws ArchiveError when it is refused; whatever `body` throws.
 */
export async function verifyArchive(body: AsyncIterable<Uint8Array>, options: VerifyOptions): Promise<ArchiveReport> {
  const { caps } = options;
  const entries = new Entries(caps, options.capture, options.digest);
  const tar = new TarStream(entries);
  const hash = createHash('sha256');
  let bytes = 0;
  const gunzip = new Gunzip((output) => {
    checkExpansion(tar.bytes + output.length, bytes, caps, entries.reading);
    tar.push(output);
  });
  try {
    for await (const piece of pieces(body)) {
      if (bytes === 0) checkIsGzip(piece);
      bytes += piece.length;
      if (bytes > caps.compressedBytes) {
        throw overCap('compressedBytes', `The upload is over ${formatSize(caps.compressedBytes)}`);
      }
      // zlib works on a thread of its own: hash while it does.
      const inflated = gunzip.write(piece);
      hash.update(piece);
      await inflated;
    }
    if (bytes === 0)
      throw new ArchiveError('ArchiveEmpty', { what: 'The upload has no bytes', next: 'Upload it again.' });
    gunzip.end();
    tar.end();
  } finally {
    gunzip.destroy();
  }
  return {
    sha256: hash.digest('hex'),
    bytes,
    expandedBytes: tar.bytes,
    members: gunzip.members,
    ...entries.result(tar.bytes),
  };
}

/** The upload in pieces of about `PIECE_BYTES`: enough to recognise what it is, and few ways to zlib's thread and back. */
async function* pieces(body: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let waiting: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    waiting.push(chunk);
    size += chunk.length;
    if (size < PIECE_BYTES) continue;
    // A source that comes in one piece is not copied.
    yield* cut(
      size === chunk.length ? Buffer.from(chunk.buffer, chunk.byteOffset, size) : Buffer.concat(waiting, size),
    );
    waiting = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(waiting, size);
}

function* cut(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) yield bytes.subarray(start, start + PIECE_BYTES);
}

function checkIsGzip(head: Buffer): void {
  if (head[0] === 0x1f && (head.length < 2 || head[1] === 0x8b)) return;
  throw new ArchiveError('ArchiveNotGzip', {
    what: `The upload is ${sniff(head)}, not a .tar.gz`,
    next: 'Pack it with: tar czf code.tar.gz -C <project> .',
  });
}

function checkExpansion(expanded: number, bytes: number, caps: ArchiveCaps, reading: string): void {
  if (expanded > caps.expandedBytes) {
    throw overCap('expandedBytes', `It is over ${formatSize(caps.expandedBytes)} unpacked, at ${reading}`);
  }
  if (expanded > RATIO_FLOOR_BYTES && expanded > caps.ratio * bytes) {
    const what = `It unpacks to more than ${caps.ratio} times its size, at ${reading}: ${formatSize(expanded)} from ${formatSize(bytes)}`;
    throw overCap('ratio', what);
  }
}
