import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { COMPRESSOR, type Member, memberStarts } from '../../core/archive/members.ts';
import { type ArchiveLocation, archiveProject } from '../../core/names.ts';
import { copyPrivate, PRIVATE_FOLDER, privatePath, readPrivate, writePrivate } from '../project/private-folder.ts';
import type { StoredMember, WrittenArchive } from './member-writer.ts';
import type { ProjectFile } from './walk.ts';

/** In the project's private folder. */
const FOLDER = 'archive';
/** A copy of a larger archive is not worth its room on the disk. */
const ARCHIVE_BYTES_MAX = 512 * 1024 * 1024;
/**
 * A file that was changed so shortly before it was read may have been changed again at the same time stamp, as in git's
 * index. The coarsest time stamps of a file system are those of FAT: 2 s.
 */
const SETTLED_MS = 2_000;

/** Members of the archive, by what they were made of. */
export type Origins = ReadonlyMap<string, MemberRange>;

export interface MemberRange {
  /** Index of the first one. */
  readonly first: number;
  readonly count: number;
}

/** A stream reads 64 KiB at once, and takes five times as long. */
const READ_BYTES = 2 * 1024 * 1024;

/** The lists are as they were written, since the digest of the text is right: to look at thousands of entries takes 20 ms. */
const indexSchema = z.strictObject({
  compressor: z.literal(COMPRESSOR),
  sha256: z.string(),
  members: z.custom<readonly [bytes: number, content: number, digest: string][]>(isArray),
  origins: z.custom<Readonly<Record<string, readonly [first: number, count: number]>>>(isObject),
  files: z.custom<Readonly<Record<string, string>>>(isObject),
  /** Where the archive is stored whole; null or left out: not known. */
  stored: z.nullish(z.strictObject({ bucket: z.string(), key: z.string(), versionId: z.nullable(z.string()) })),
});

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

  /** @returns null when there is none, or what is there is not whole */
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
    if ((await digestOf(file)) !== sha256) return null;
    const archive = {
      sha256,
      bytes: members.reduce((sum, [bytes]) => sum + bytes, 0),
      members: members.map(([bytes, content, digest]) => ({ bytes, content, digest })),
    };
    const ranges = Object.entries(origins).map(([key, [first, count]]) => [key, { first, count }] as const);
    return new PackCache(archive, new Map(ranges), new Map(Object.entries(files)), stored ?? null, file, index);
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

  /** One member's description and bytes. @throws when the file has been cut off */
  member(index: number): StoredMember {
    const member = this.archive.members[index] as Member;
    const bytes = Buffer.allocUnsafe(member.bytes);
    // Waiting for a member takes longer than reading it.
    if (readSync(this.file.fd, bytes, 0, bytes.length, this.starts[index] as number) !== bytes.length)
      throw new Error(`the archive in ${PRIVATE_FOLDER} was cut off meanwhile`);
    return { member, bytes };
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

async function digestOf(file: FileHandle): Promise<string> {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(READ_BYTES);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(piece, 0, piece.length, at);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(piece.subarray(0, bytesRead));
    at += bytesRead;
  }
}

function isArray(value: unknown): boolean {
  return Array.isArray(value);
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
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
    origins: Object.fromEntries([...origins].map(([key, { first, count }]) => [key, [first, count]])),
    files: Object.fromEntries(files),
    stored: stored && { bucket: stored.bucket, key: stored.key, versionId: stored.versionId },
  };
  const text = sealed(JSON.stringify(index));
  const isKept = previous?.archive.sha256 === sha256;
  if (isKept && text === previous.index) return;
  try {
    // A command that reads between the two finds a digest that does not match, and packs everything.
    if (!isKept) await copyPrivate(folder, join(FOLDER, 'last.tar.gz'), file);
    await writePrivate(folder, join(FOLDER, 'last.json'), text);
  } catch {
    // The next packing takes longer.
  }
}

/**
 * What identifies the content of files that were not read: names, sizes, times and inodes. Null when one of them has changed
 * too recently.
 * @param kind which members are made of the files; @param now ms since the epoch
 */
export function originOf(kind: string, files: readonly ProjectFile[], now: number): string | null {
  if (files.some(({ changedAt }) => changedAt > now - SETTLED_MS)) return null;
  const stamps = files.map(({ name, executable, stamp }) => [name, executable, stamp]);
  return createHash('sha256')
    .update(JSON.stringify([kind, stamps]))
    .digest('base64url')
    .slice(0, 22);
}
