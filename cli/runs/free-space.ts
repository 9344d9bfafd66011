import { statfs } from 'node:fs/promises';
import { formatSize } from '../../core/units.ts';
import { setUpError } from '../errors.ts';

/** A disk that is filled to its last byte harms more than this command. */
const RESERVE_BYTES = 64 * 1024 * 1024;

/** Bytes that may be written below a folder. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return Math.max(0, bavail * bsize - RESERVE_BYTES);
}

/** @throws CliError when the disk of the folder has less free */
export async function requireSpace(folder: string, bytes: number, free = freeBytes): Promise<void> {
  const available = await free(folder);
  if (bytes <= available) return;
  throw setUpError(
    `${folder} needs ${formatSize(bytes)}, and its disk has ${formatSize(available)} free.`,
    'Free space, or choose another folder with --to.',
  );
}
