import { createHash } from 'node:crypto';
import type { MemberRange, PackCache } from './pack-cache.ts';
import type { PackUnit } from './pack-plan.ts';
import { fileHeader } from './tar-headers.ts';
import type { ProjectFile } from './walk.ts';

/**
 * A file that was changed so shortly before it was read may have been changed again at the same time stamp, as in git's
 * index. The coarsest time stamps of a file system are those of FAT: 2 s.
 */
const SETTLED_MS = 2_000;

/** A part of a unit: its small files, or its large one. */
export interface Part {
  /** What identifies its content without reading it; null: its files may not be recognized. */
  readonly origin: string | null;
  /** Its members in the archive that was packed before; null: they are made anew. */
  readonly stored: MemberRange | null;
}

/** A unit, and what the cache has of it. */
export interface RecognizedUnit {
  readonly unit: PackUnit;
  readonly small: Part;
  readonly large: Part | null;
  /** About how many bytes have to be compressed. */
  readonly bytesToCompress: number;
}

/** Finds what an earlier archive has of a unit; nothing is read for it. @param now ms since the epoch */
export function recognize(
  unit: PackUnit,
  { cache, includeSecrets, now }: { cache: PackCache | null; includeSecrets: boolean; now: number },
): RecognizedUnit {
  const { small, large } = unit;
  const part = (origin: string | null): Part => ({ origin, stored: cache?.find(origin) ?? null });
  const header = large === null ? '' : headerOf(large, large.bytes).toString('latin1');
  const parts = {
    small: part(originOf(`small ${includeSecrets ? 'with secrets' : ''} ${header}`, small, now)),
    large: large === null ? null : part(originOf('large', [large], now)),
  };
  const smallBytes = parts.small.stored === null ? small.reduce((sum, { bytes }) => sum + bytes, 0) : 0;
  const largeBytes = parts.large?.stored === null ? (large?.bytes ?? 0) : 0;
  return { unit, ...parts, bytesToCompress: smallBytes + largeBytes };
}

/** The blocks before a file's content. */
export function headerOf({ name, executable }: ProjectFile, size: number): Buffer {
  return fileHeader({ name, size, executable });
}

/**
 * What identifies the content of files that were not read: names, sizes, times and inodes. Null when one of them has changed
 * too recently.
 * @param kind which members are made of the files; @param now ms since the epoch
 */
function originOf(kind: string, files: readonly ProjectFile[], now: number): string | null {
  if (files.some(({ changedAt }) => changedAt > now - SETTLED_MS)) return null;
  const stamps = files.map(({ name, executable, stamp }) => [name, executable, stamp]);
  return createHash('sha256')
    .update(JSON.stringify([kind, stamps]))
    .digest('base64url')
    .slice(0, 22);
}
