import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * An archive of runctl is one gzip file of many members, each a stretch of the tar: what did not change is the same
 * member again, which need not be sent. Every gzip reader reads such a file as one stream (RFC 1952, section 2.2).
 */

/** A file larger than this has members of its own, cut by its content. */
export const LARGE_FILE_BYTES = 64 * 1024;
/** A member ends before the next file once it has so many bytes, */
const MEMBER_BYTES = 128 * 1024;
/** or half as many when the next file's name says so: after a file that is new, the cuts are the old ones again soon. */
const MEMBER_BYTES_MIN = 64 * 1024;
const NAMES_THAT_CUT = 4;

/** Chunks of a large file: 80 KiB on average. */
const CHUNK_BYTES_MIN = 16 * 1024;
export const CHUNK_BYTES_MAX = 256 * 1024;
/** One position of 65,536 cuts. */
const CHUNK_SHIFT = 16;

/** Of the gzip format: magic, deflate, no flags, no time, no level; 3 is Unix. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);

/** One member of an archive, in the archive's order. */
export interface Member {
  /** Bytes in the archive. */
  readonly bytes: number;
  /** Bytes of the tar in it. */
  readonly content: number;
  /** First 16 bytes of the SHA-256 of its bytes in the archive, in hex. */
  readonly digest: string;
}

/** Where each member begins in the archive. */
export function memberStarts(members: readonly Pick<Member, 'bytes'>[]): number[] {
  let start = 0;
  return members.map(({ bytes }) => {
    start += bytes;
    return start - bytes;
  });
}

export function memberDigest(member: Uint8Array): string {
  return memberDigestOf(createHash('sha256').update(member));
}

/** @param hash SHA-256 that has all bytes of the member */
export function memberDigestOf(hash: Hash): string {
  return hash.digest('hex').slice(0, 32);
}

/** @param deflated `content`, compressed: raw DEFLATE (RFC 1951) */
export function gzipMember(content: Uint8Array, deflated: Uint8Array): Buffer {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(content), 0);
  trailer.writeUInt32LE(content.length, 4);
  return Buffer.concat([HEADER, deflated, trailer]);
}

/** Whether a member of `bytes` bytes ends before the header of this file. */
export function cutsBefore(name: string, bytes: number): boolean {
  if (bytes >= MEMBER_BYTES) return true;
  return bytes >= MEMBER_BYTES_MIN && crc32(Buffer.from(name)) % NAMES_THAT_CUT === 0;
}

/** A number for each value of a byte, without a pattern. */
const GEAR = Uint32Array.from({ length: 256 }, (_, byte) => crc32(Buffer.from(`gear ${byte}`)));

/**
 * The end of the chunk that begins at `start`: where the bytes themselves say so, whatever came before. Content-defined
 * chunking with a gear hash, as in FastCDC (Xia and others, USENIX ATC 2016).
 * @param bytes at least CHUNK_BYTES_MAX from `start`, or all that the file still has
 */
export function chunkEnd(bytes: Uint8Array, start: number): number {
  const end = Math.min(bytes.length, start + CHUNK_BYTES_MAX);
  let hash = 0;
  for (let at = start + CHUNK_BYTES_MIN; at < end; at += 1) {
    hash = ((hash << 1) + (GEAR[bytes[at] as number] as number)) | 0;
    if (hash >>> CHUNK_SHIFT === 0) return at + 1;
  }
  return end;
}
