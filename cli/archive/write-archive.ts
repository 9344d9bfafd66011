import { createHash, type Hash } from 'node:crypto';
import { Entries } from '../../core/archive/entries.ts';
import { type GitState, gitComment } from '../../core/archive/git-state.ts';
import { type ArchiveNote, noteComment } from '../../core/archive/note.ts';
import { TarStream } from '../../core/archive/tar-stream.ts';
import { type ArchiveCaps, DEFAULT_CAPS } from '../../core/archive/verify.ts';
import { Compressor } from './compressor.ts';
import { type Content, chunksOf, isHandle, openFile } from './file-content.ts';
import { isLfsPointer } from './lfs.ts';
import { MemberWriter } from './member-writer.ts';
import type { MemberRange, PackCache, WrittenArchive } from './pack-cache.ts';
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

export interface WriteOptions {
  readonly includeSecrets?: boolean;
  readonly signal?: AbortSignal;
  /** Where the code comes from, for the instance to compare. */
  readonly source?: ArchiveNote['source'] | undefined;
  /** In ms since the epoch; files that changed just before are not recognized by the next packing. Default: the clock. */
  readonly now?: number;
  /** The archive that was packed before; null: there is none. */
  readonly cache: PackCache | null;
  readonly git: GitState | null;
  readonly leftOut: readonly string[];
}

type Written = Pick<Packing, 'packed' | 'secrets' | 'warnings' | 'pointers' | 'origins' | 'digests'> & {
  readonly written: WrittenArchive;
};

/** Writes the listed files, the commit and the note of what is left out into an archive. */
export async function writeArchive(
  files: readonly ProjectFile[],
  archive: string,
  options: WriteOptions,
): Promise<Written> {
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
