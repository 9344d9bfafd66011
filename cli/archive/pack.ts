import { createHash, type Hash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { Entries } from '../../core/archive/entries.ts';
import { type GitState, gitComment } from '../../core/archive/git-state.ts';
import { type ArchiveNote, noteComment } from '../../core/archive/note.ts';
import { TarStream } from '../../core/archive/tar-stream.ts';
import { type ArchiveCaps, DEFAULT_CAPS } from '../../core/archive/verify.ts';
import type { ArchiveLocation } from '../../core/names.ts';
import { Compressor } from './compressor.ts';
import { type Content, chunksOf, isHandle, openFile } from './file-content.ts';
import { findLeftOut } from './left-out.ts';
import { isLfsPointer, pointerWarnings } from './lfs.ts';
import { MemberWriter } from './member-writer.ts';
import {
  DamagedArchive,
  type MemberRange,
  type PackCache,
  savePackCache,
  type WrittenArchive,
  withPackCache,
} from './pack-cache.ts';
import { PackError } from './pack-error.ts';
import { type Commit, type Listing, type ListOptions, listFiles, nothingToPack } from './pack-list.ts';
import { planPacking } from './pack-plan.ts';
import { headerOf, type Part, type RecognizedUnit, recognize } from './recognize.ts';
import { isSecretContent } from './secrets.ts';
import { commentHeader, END_OF_ARCHIVE, padding } from './tar-headers.ts';
import { leftOut, type ProjectFile } from './walk.ts';

/** Opening a file takes longer than reading a small one: this many units are read while others are compressed. */
const READ_AHEAD = 16;
/** A deployed stack may allow more than the defaults, so only the limits of names hold here. */
const NO_CAPS: ArchiveCaps = {
  compressedBytes: Number.POSITIVE_INFINITY,
  expandedBytes: Number.POSITIVE_INFINITY,
  ratio: Number.POSITIVE_INFINITY,
  entries: Number.POSITIVE_INFINITY,
  depth: DEFAULT_CAPS.depth,
  nameBytes: DEFAULT_CAPS.nameBytes,
  headerBytes: DEFAULT_CAPS.headerBytes,
};

export interface PackedFile {
  /** Path in the archive, `/` between its parts. */
  readonly name: string;
  readonly bytes: number;
}

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

export interface PackOptions {
  readonly includeSecrets?: boolean;
  readonly signal?: AbortSignal;
  /** Where the code comes from, for the instance to compare. */
  readonly source?: ArchiveNote['source'] | undefined;
  /** The cache of the folder, which the caller closes. Default: it is opened and closed here, with the archive in its file. */
  readonly cache?: PackCache | null;
  /** In ms since the epoch; files that changed just before are not recognized by the next packing. Default: the clock. */
  readonly now?: number;
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
    let file: Promise<string> | null = null;
    const make = async () => {
      if (cache === null || written !== cache.archive || (await cache.copyTo(archive))) return archive;
      previous = null;
      const again = await packFiles(folder, listing, archive, { ...options, cache: null });
      if (again.archive.sha256 !== written.sha256) throw filesChanged();
      return archive;
    };
    return {
      file: () => {
        file ??= make();
        return file;
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

interface WriteOptions extends PackOptions {
  readonly cache: PackCache | null;
  readonly git: GitState | null;
  readonly leftOut: readonly string[];
}

type Written = Pick<Packing, 'packed' | 'secrets' | 'warnings' | 'pointers' | 'origins' | 'digests'> & {
  readonly written: WrittenArchive;
};

async function writeArchive(files: readonly ProjectFile[], archive: string, options: WriteOptions): Promise<Written> {
  const { cache, includeSecrets = false, now = Date.now() } = options;
  const units = planPacking(files).map((unit) => recognize(unit, { cache, includeSecrets, now }));
  const compressor = new Compressor(units.reduce((sum, { bytesToCompress }) => sum + bytesToCompress, 0));
  const writer = new MemberWriter(archive, compressor, cache);
  try {
    const packing = new Packing(writer, options, checkFor(files, cache));
    await packing.addAll(units);
    return Object.assign(packing, { written: await packing.end() });
  } finally {
    await Promise.all([compressor.end(), writer.close()]);
  }
}

/** Checks the archive as the state Verify archive does, before anything is uploaded; null when its names have been checked before. */
function checkFor(files: readonly ProjectFile[], cache: PackCache | null): TarStream | null {
  // Each of them is allowed, and no two of them mean the same file: then so it is without the others.
  if (cache !== null && files.every(({ name }) => cache.files.has(name))) return null;
  return new TarStream(new Entries(NO_CAPS, { names: [], maxBytes: 0 }));
}

/** A unit whose content was read, where the cache does not have it. */
interface Ready extends RecognizedUnit {
  readonly contents: Content[];
  readonly largeContent: Content | null;
}

/** Collects an archive. */
class Packing {
  readonly packed: PackedFile[] = [];
  readonly secrets: string[] = [];
  readonly warnings: string[] = [];
  /** Files whose content Git LFS has not fetched. */
  readonly pointers: string[] = [];
  readonly origins = new Map<string, MemberRange>();
  /** Of the content of each file. */
  readonly digests = new Map<string, string>();

  constructor(
    private readonly writer: MemberWriter,
    private readonly options: WriteOptions,
    private readonly check: TarStream | null,
  ) {}

  async addAll(units: readonly RecognizedUnit[]): Promise<void> {
    const { git, leftOut, source, signal } = this.options;
    // The commit comes first, where `git get-tar-commit-id` reads it.
    if (git !== null) await this.addComment(gitComment(git));
    const note: ArchiveNote = { ...(leftOut.length > 0 ? { leftOut } : {}), ...(source ? { source } : {}) };
    if (Object.keys(note).length > 0) await this.addComment(noteComment(note));
    const ahead: Promise<Ready>[] = [];
    for (const index of units.keys()) {
      signal?.throwIfAborted();
      for (let next = ahead.length; next < Math.min(units.length, index + READ_AHEAD); next += 1) {
        const reading = this.prepare(units[next] as RecognizedUnit);
        reading.catch(() => undefined); // reported when the unit is added
        ahead.push(reading);
      }
      const ready = await (ahead[index] as Promise<Ready>);
      delete ahead[index]; // frees the bytes
      await this.add(ready);
    }
  }

  private async addComment(comment: string): Promise<void> {
    const header = commentHeader(comment);
    this.check?.push(header);
    await this.writer.add(header);
  }

  async end(): Promise<WrittenArchive> {
    this.check?.push(END_OF_ARCHIVE);
    await this.writer.add(END_OF_ARCHIVE);
    this.check?.end();
    return await this.writer.end();
  }

  private async prepare(recognized: RecognizedUnit): Promise<Ready> {
    const { unit, small, large } = recognized;
    const [contents, largeContent] = await Promise.all([
      small.stored === null ? Promise.all(unit.small.map(openFile)) : [],
      unit.large !== null && large?.stored === null ? openFile(unit.large) : null,
    ]);
    return { ...recognized, contents, largeContent };
  }

  private async add(ready: Ready): Promise<void> {
    const { unit, large, largeContent } = ready;
    // A large file that cannot be read has no header either: what the small ones are stored with holds one.
    const missing = largeContent !== null && 'missing' in largeContent ? largeContent.missing : null;
    await this.addSmall(ready, missing === null ? unit.large : null);
    if (unit.large === null || large === null) return;
    if (missing !== null) this.warnings.push(leftOut(unit.large.name, missing));
    else await this.addLarge(unit.large, large, largeContent);
  }

  /** @param large the file whose header ends the member */
  private async addSmall({ unit, small, contents: read }: Ready, large: ProjectFile | null): Promise<void> {
    if (small.stored !== null && large === unit.large) {
      for (const file of unit.small) this.noteStored(file);
      if (large !== null) this.check?.push(headerOf(large, large.bytes));
      this.addStored(small, small.stored);
      return;
    }
    const contents = small.stored === null ? read : await Promise.all(unit.small.map(openFile));
    const first = this.writer.count;
    const before = this.packed.length + this.pointers.length;
    const blocks = unit.small.flatMap((file, index) => this.blocksOf(file, contents[index] as Content));
    if (large !== null) {
      const header = headerOf(large, large.bytes);
      this.check?.push(header);
      blocks.push(header);
    }
    if (blocks.length === 0) return;
    await this.writer.add(Buffer.concat(blocks));
    const isWhole = this.packed.length + this.pointers.length - before === unit.small.length && large === unit.large;
    if (small.origin !== null && isWhole) this.origins.set(small.origin, { first, count: 1 });
  }

  /** A small file's header, content and padding; nothing when it is left out. */
  private blocksOf(file: ProjectFile, content: Content): Buffer[] {
    if (!Buffer.isBuffer(content)) {
      if ('missing' in content) this.warnings.push(leftOut(file.name, content.missing));
      return [];
    }
    if (this.options.includeSecrets !== true && isSecretContent(file.name, content)) {
      this.secrets.push(file.name);
      return [];
    }
    if (isLfsPointer(content)) this.pointers.push(file.name);
    return [
      this.note(file, content.length, digestOf(createHash('sha256').update(content))),
      content,
      padding(content.length),
    ];
  }

  private async addLarge(file: ProjectFile, large: Part, content: Content | null): Promise<void> {
    this.packed.push({ name: file.name, bytes: file.bytes });
    this.check?.skip(file.bytes);
    if (large.stored !== null) {
      this.digests.set(file.name, this.cachedDigest(file));
      this.addStored(large, large.stored);
      return;
    }
    if (content === null) throw new Error(`the content of ${file.name} was not read`);
    const first = this.writer.count;
    const hash = createHash('sha256');
    try {
      for await (const chunk of chunksOf(file, content)) {
        hash.update(chunk);
        await this.writer.add(chunk);
      }
    } finally {
      if (isHandle(content)) await content.close();
    }
    this.digests.set(file.name, digestOf(hash));
    if (large.origin !== null) this.origins.set(large.origin, { first, count: this.writer.count - first });
  }

  private addStored({ origin }: Part, { first, count }: MemberRange): void {
    if (origin !== null) this.origins.set(origin, { first: this.writer.count, count });
    this.writer.addStored({ first, count });
  }

  private cachedDigest({ name }: ProjectFile): string {
    return this.options.cache?.files.get(name) ?? '';
  }

  /** Checks and counts a file. @returns its header */
  private note(file: ProjectFile, bytes: number, digest: string): Buffer {
    const header = headerOf(file, bytes);
    this.check?.push(header);
    this.check?.skip(bytes);
    this.digests.set(file.name, digest);
    this.packed.push({ name: file.name, bytes });
    return header;
  }

  /** The same for a file whose members are stored, and its header with them. */
  private noteStored(file: ProjectFile): void {
    if (this.check !== null) {
      this.note(file, file.bytes, this.cachedDigest(file));
      return;
    }
    this.digests.set(file.name, this.cachedDigest(file));
    this.packed.push({ name: file.name, bytes: file.bytes });
  }
}

function digestOf(hash: Hash): string {
  return hash.digest('hex').slice(0, 16);
}

function changedFiles(files: ReadonlyMap<string, string>, before: ReadonlyMap<string, string>): number {
  return [...files].filter(([name, digest]) => before.get(name) !== digest).length;
}
