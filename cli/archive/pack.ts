import { rm } from 'node:fs/promises';
import type { ArchiveLocation } from '../../core/names.ts';
import { findLeftOut } from './left-out.ts';
import { pointerWarnings } from './lfs.ts';
import { DamagedArchive, type PackCache, savePackCache, type WrittenArchive, withPackCache } from './pack-cache.ts';
import { PackError } from './pack-error.ts';
import { type Commit, type Listing, type ListOptions, listFiles, nothingToPack } from './pack-list.ts';
import { type PackedFile, type WriteOptions, writeArchive } from './write-archive.ts';

/** The result of packing. */
export interface Packed {
  /** The path of the archive. When it is the one that was packed before, it is only now made there. */
  readonly file: () => Promise<string>;
  /** In the archive's order. */
  readonly files: readonly PackedFile[];
  /** Sum of the files' sizes. */
  readonly bytes: number;
  readonly archive: WrittenArchive;
  /** Size of the archive. */
  readonly archiveBytes: number;
  /** Not packed because they look like secrets. */
  readonly secrets: readonly string[];
  /** What else was not packed although no ignore file excludes it, one sentence each. */
  readonly warnings: readonly string[];
  /** What exists in the project and is not in the archive: files, and folders with a slash at their end. */
  readonly leftOut: readonly string[];
  /** The commit that the archive names. */
  readonly git: Commit | null;
  /** Files that the archive packed here before did not have, or had with other content; null when there was none. */
  readonly changedFiles: number | null;
  /** Keeps the archive, so that the next packing of this folder takes from it what has not changed. */
  readonly keep: (stored: ArchiveLocation | null) => Promise<void>;
}

export interface PackOptions extends Pick<WriteOptions, 'includeSecrets' | 'signal' | 'source' | 'now'> {
  /** The cache of the folder, which the caller closes. Default: it is opened and closed here, with the archive in its file. */
  readonly cache?: PackCache | null;
}

/** Packs a project folder into the file `archive`: {@link listFiles}, then {@link packFiles}. */
export async function packFolder(
  folder: string,
  archive: string,
  options: PackOptions & ListOptions = {},
): Promise<Packed> {
  return await packFiles(folder, await listFiles(folder, options), archive, options);
}

/**
 * Packs the listed files of a project into the .tar.gz file `archive`. The same tree at the same commit gives the same
 * bytes: sorted, no owners, one time, modes 0644 and 0755. Files that were deleted or cannot be read are skipped.
 * @throws PackError when there is nothing to pack, or a large file shrank meanwhile; ArchiveError when Verify archive would
 * refuse the archive. It is removed then
 */
export async function packFiles(
  folder: string,
  listing: Listing,
  archive: string,
  options: PackOptions = {},
): Promise<Packed> {
  const { cache } = options;
  if (cache === undefined)
    return await withPackCache(folder, async (opened) => {
      const packed = await packFiles(folder, listing, archive, { ...options, cache: opened });
      await packed.file();
      return packed;
    });
  try {
    let git = listing.git;
    const listed = listing.files.map(({ name }) => name);
    let leftOut = findLeftOut(listing.folders, listed);
    let packing = await writeArchive(listing.files, archive, { ...options, cache, git, leftOut });
    // The notes are at the archive's beginning, and what is left out while packing is known at its end.
    const names = new Set(packing.packed.map(({ name }) => name));
    if (names.size < listed.length) {
      const missing = listing.files.filter(({ name, tracked }) => tracked && !names.has(name)).length;
      if (git !== null && missing > 0)
        git = { ...git, dirty: true, differences: [...git.differences, `${missing} tracked but not packed`] };
      leftOut = findLeftOut(listing.folders, [...names]);
      packing = await writeArchive(listing.files, archive, { ...options, cache, git, leftOut });
    }
    const { packed, written, origins } = packing;
    if (packed.length === 0) throw nothingToPack(folder);
    let previous = cache;
    const make = async () => {
      if (cache === null || written !== cache.archive || (await cache.copyTo(archive))) return archive;
      previous = null; // it is damaged: the next one takes its place
      const again = await packFiles(folder, listing, archive, { ...options, cache: null });
      if (again.archive.sha256 !== written.sha256) throw filesChanged();
      return archive;
    };
    let made: Promise<string> | null = null;
    return {
      file: () => {
        made ??= make();
        return made;
      },
      files: packed,
      bytes: packed.reduce((sum, file) => sum + file.bytes, 0),
      archive: written,
      archiveBytes: written.bytes,
      secrets: [...listing.secrets, ...packing.secrets],
      warnings: [...listing.warnings, ...packing.warnings, ...pointerWarnings(packing.pointers)],
      leftOut,
      git,
      changedFiles: cache === null ? null : changedFiles(packing.digests, cache.files),
      keep: (stored) => savePackCache(folder, archive, written, { origins, files: packing.digests }, stored, previous),
    };
  } catch (error) {
    await rm(archive, { force: true });
    if (!(error instanceof DamagedArchive)) throw error;
    return await packFiles(folder, listing, archive, { ...options, cache: null });
  }
}

function filesChanged(): PackError {
  return new PackError(
    'Files changed while they were being packed.',
    'Run the command again when nothing writes to them, or exclude them with .runctlignore.',
  );
}

function changedFiles(files: ReadonlyMap<string, string>, before: ReadonlyMap<string, string>): number {
  return [...files].filter(([name, digest]) => before.get(name) !== digest).length;
}
