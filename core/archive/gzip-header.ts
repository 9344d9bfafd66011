import { crc32 } from 'node:zlib';
import { ArchiveError } from './errors.ts';

const FHCRC = 0x02;
const FEXTRA = 0x04;
const FNAME = 0x08;
const FCOMMENT = 0x10;
const RESERVED = 0xe0;

/** Extra field (at most 64 KiB), name and comment together: what no tool comes near, and memory does not feel. */
const HEADER_BYTES = 128 * 1024;

/**
 * Reads a gzip member's header (RFC 1952) whose first two bytes are known to be the magic.
 * @param at byte of the upload where the member begins.
 * @returns its length in bytes, or null when `bytes` ends before it does.
 * @throws ArchiveError ArchiveCorrupt.
 */
export function gzipHeaderLength(bytes: Uint8Array, at: number): number | null {
  if (bytes.length > HEADER_BYTES) throw corrupt('Its gzip header does not end', at);
  if (bytes.length < 10) return null;
  const flags = bytes[3] ?? 0;
  if (bytes[2] !== 8 || (flags & RESERVED) !== 0) throw corrupt('Its gzip header is damaged', at);
  let end = 10;
  if (flags & FEXTRA) {
    if (bytes.length < end + 2) return null;
    end += 2 + (bytes[end] ?? 0) + 256 * (bytes[end + 1] ?? 0);
  }
  for (const flag of [FNAME, FCOMMENT]) {
    if ((flags & flag) === 0) continue;
    const zero = bytes.indexOf(0, end);
    if (zero < 0) return null;
    end = zero + 1;
  }
  if (flags & FHCRC) {
    if (bytes.length < end + 2) return null;
    const stored = (bytes[end] ?? 0) + 256 * (bytes[end + 1] ?? 0);
    if ((crc32(bytes.subarray(0, end)) & 0xffff) !== stored) throw corrupt('Its gzip header is damaged', at);
    end += 2;
  }
  return end <= bytes.length ? end : null;
}

function corrupt(what: string, at: number): ArchiveError {
  return new ArchiveError('ArchiveCorrupt', {
    what,
    at: { in: 'upload', byte: at },
    next: 'Pack it again and upload that.',
  });
}
