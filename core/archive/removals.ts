import { leftOutMatcher } from './note.ts';

/** Files that a sync would remove from the instance. */
export interface Removals {
  readonly files: number;
  readonly bytes: number;
}

/** More is removed only with `allowRemovals`; instance/runner/sync/main.py has the same numbers. */
export const MAX_REMOVALS: Removals = { files: 100, bytes: 100_000_000 };

/**
 * What a sync of an archive removes.
 * @param before sizes of the files of the archive before, by name
 * @param files names of the files of the new archive
 * @param leftOut see `ArchiveNote`
 */
export function findRemovals(
  before: Readonly<Record<string, number>>,
  files: readonly string[],
  leftOut: readonly string[],
): Removals {
  const isLeftOut = leftOutMatcher(leftOut);
  const present = new Set(files);
  const removed = Object.entries(before).filter(([name]) => !present.has(name) && !isLeftOut(name));
  return { files: removed.length, bytes: removed.reduce((sum, [, bytes]) => sum + bytes, 0) };
}

export function needsPermission({ files, bytes }: Removals): boolean {
  return files > MAX_REMOVALS.files || bytes > MAX_REMOVALS.bytes;
}
