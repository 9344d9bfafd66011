import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { COMPRESSOR } from '../../core/archive/compress.ts';
import { type Member, memberDigest, memberStarts } from '../../core/archive/members.ts';
import { type ArchiveLocation, archiveProject } from '../../core/names.ts';
import { linkPrivate, PRIVATE_FOLDER, privatePath, readPrivate, writePrivate } from '../project/private-folder.ts';

/** In the project's private folder. */
const FOLDER = 'archive';
/** A copy of a larger archive is not worth its room on the disk. */
const ARCHIVE_BYTES_MAX = 512 * 1024 * 1024;
/** A whole archive on this machine. */
export interface WrittenArchive {
  /** Hex. */
  readonly sha256: string;
  readonly bytes: number;
  readonly members: readonly Member[];
}

/** Members of the archive, by what they were made of. */
export type Origins = ReadonlyMap<string, MemberRange>;

export interface MemberRange {
  /** Index of the first one. */
  readonly first: number;
  readonly count: number;
}

/** What is read at once: for each member alone it takes longer. */
const PIECE_BYTES = 1024 * 1024;

/**
 * The lists are as they were written, since the digest of the text is right: to look at thousands of entries takes 20 ms, and
 * so does an object with thousands of keys.
 */
const indexSchema = z.strictObject({
  compressor: z.literal(COMPRESSOR),
  sha256: z.string(),
  members: z.custom<readonly [bytes: number, content: number, digest: string][]>(isArray),
  origins: z.custom<readonly [origin: string, range: MemberRange][]>(isArray),
  files: z.custom<readonly [name: string, digest: string][]>(isArray),
  /** Where the archive is stored whole; null or left out: not known. */
  stored: z.nullish(z.strictObject({ bucket: z.string(), key: z.string(), versionId: z.nullable(z.string()) })),
});

/** The archive that was packed last is not as it was written: all has to be made of the files. */
export class DamagedArchive extends Error {
  constructor() {
    super(`the archive in ${PRIVATE_FOLDER} is damaged`);
  }
}

/** The archive that was packed last, so that files that have not changed since are not compressed again. */
export class PackCache {
  private readonly starts: readonly number[];

  private constructor(
    readonly archive: WrittenArchive,
    private readonly origins: Origins,
    /** Digests of the content of files, by name. */
    readonly files: ReadonlyMap<string, string>,
    private readonly stored: ArchiveLocation | null,
    private readonly file: FileHandle,
    /** The text of the file that describes the archive. */
    readonly index: string,
  ) {
    this.starts = memberStarts(archive.members);
  }

  /** @returns null when there is none, or its index is damaged. The archive itself is checked where it is read */
  static async open(folder: string): Promise<PackCache | null> {
    const file = await open(privatePath(folder, join(FOLDER, 'last.tar.gz'))).catch(() => null);
    if (file === null) return null;
    const cache = await PackCache.read(folder, file).catch(() => null);
    if (cache === null) await file.close();
    return cache;
  }

  private static async read(folder: string, file: FileHandle): Promise<PackCache | null> {
    const index = (await readPrivate(folder, join(FOLDER, 'last.json'))) ?? '';
    const { sha256, members, origins, files, stored } = indexSchema.parse(JSON.parse(unsealed(index)));
    const archive = {
      sha256,
      bytes: members.reduce((sum, [bytes]) => sum + bytes, 0),
      members: members.map(([bytes, content, digest]) => ({ bytes, content, digest })),
    };
    return new PackCache(archive, new Map(origins), new Map(files), stored ?? null, file, index);
  }

  /** Where the archive is stored whole, if it is in this bucket and of this project. */
  storedIn({ bucket, project }: { readonly bucket: string; readonly project: string }): ArchiveLocation | null {
    const { stored } = this;
    return stored?.bucket === bucket && archiveProject(stored.key) === project ? stored : null;
  }

  /** The members that were made of this, or null. */
  find(origin: string | null): MemberRange | null {
    return origin === null ? null : (this.origins.get(origin) ?? null);
  }

  /** The bytes of one member. @throws DamagedArchive when they are not what was packed */
  async read(index: number): Promise<Buffer> {
    const range = { first: index, count: 1 };
    return this.checked(range, await this.load(range));
  }

  /** The bytes of members that follow each other, in pieces of which the next one is read meanwhile. @throws DamagedArchive */
  async *pieces(range: MemberRange): AsyncGenerator<Buffer> {
    const pieces = this.divided(range);
    const load = (index: number) => {
      const piece = pieces[index];
      const bytes = piece === undefined ? null : this.load(piece);
      bytes?.catch(() => undefined); // reported when its turn comes
      return bytes;
    };
    let next = load(0);
    for (const [index, piece] of pieces.entries()) {
      const bytes = await (next as Promise<Buffer>);
      next = load(index + 1);
      yield this.checked(piece, bytes);
    }
  }

  /** Ranges of as many members as are read at once. */
  private divided({ first, count }: MemberRange): MemberRange[] {
    const ranges: MemberRange[] = [];
    let [start, bytes] = [first, 0];
    for (let at = first; at < first + count; at += 1) {
      bytes += (this.archive.members[at] as Member).bytes;
      if (bytes < PIECE_BYTES && at < first + count - 1) continue;
      ranges.push({ first: start, count: at + 1 - start });
      [start, bytes] = [at + 1, 0];
    }
    return ranges;
  }

  private async load({ first, count }: MemberRange): Promise<Buffer> {
    const length = this.membersOf({ first, count }).reduce((sum, { bytes }) => sum + bytes, 0);
    const { bytesRead, buffer } = await this.file.read(Buffer.allocUnsafe(length), 0, length, this.starts[first] ?? 0);
    if (bytesRead !== length) throw new DamagedArchive();
    return buffer;
  }

  private checked(range: MemberRange, bytes: Buffer): Buffer {
    let start = 0;
    for (const member of this.membersOf(range)) {
      if (memberDigest(bytes.subarray(start, start + member.bytes)) !== member.digest) throw new DamagedArchive();
      start += member.bytes;
    }
    return bytes;
  }

  private membersOf({ first, count }: MemberRange): readonly Member[] {
    return this.archive.members.slice(first, first + count);
  }

  /** Writes the archive to a file. @returns whether it is as it was packed */
  async copyTo(path: string): Promise<boolean> {
    await rm(path, { force: true });
    const file = await open(path, 'wx');
    try {
      // Each writes on where the last one ended.
      for await (const bytes of this.pieces({ first: 0, count: this.archive.members.length }))
        await file.writeFile(bytes);
      return true;
    } catch (error) {
      if (!(error instanceof DamagedArchive)) throw error;
      return false;
    } finally {
      await file.close();
    }
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

function isArray(value: unknown): boolean {
  return Array.isArray(value);
}

/** Text behind its digest: a changed number in the index would take other members for those of a file. */
function sealed(text: string): string {
  return `${createHash('sha256').update(text).digest('hex')}\n${text}`;
}

/** @throws when the text is not as it was written */
function unsealed(file: string): string {
  const text = file.slice(file.indexOf('\n') + 1);
  if (sealed(text) !== file) throw new Error('the index of the cached archive is damaged');
  return text;
}

/** Passes the cache of a folder to `use`, and closes it afterwards. */
export async function withPackCache<T>(folder: string, use: (cache: PackCache | null) => Promise<T>): Promise<T> {
  const cache = await PackCache.open(folder);
  try {
    return await use(cache);
  } finally {
    await cache?.close();
  }
}

/**
 * Replaces the cached archive. It is an optimization: an error of the disk is none of the command.
 * @param previous what is cached, of which what is equal stays
 */
export async function savePackCache(
  folder: string,
  file: string,
  { sha256, bytes, members }: WrittenArchive,
  { origins, files }: { readonly origins: Origins; readonly files: ReadonlyMap<string, string> },
  stored: ArchiveLocation | null,
  previous: PackCache | null,
): Promise<void> {
  if (bytes > ARCHIVE_BYTES_MAX) return;
  const index: z.input<typeof indexSchema> = {
    compressor: COMPRESSOR,
    sha256,
    members: members.map((member) => [member.bytes, member.content, member.digest]),
    origins: [...origins],
    files: [...files],
    stored: stored && { bucket: stored.bucket, key: stored.key, versionId: stored.versionId },
  };
  const text = sealed(JSON.stringify(index));
  const isKept = previous?.archive.sha256 === sha256;
  if (isKept && text === previous.index) return;
  try {
    // A command that reads between the two finds members whose digests do not match, and packs everything.
    if (!isKept) await linkPrivate(folder, join(FOLDER, 'last.tar.gz'), file);
    await writePrivate(folder, join(FOLDER, 'last.json'), text);
  } catch {
    // The next packing takes longer.
  }
}
