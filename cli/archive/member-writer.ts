import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { type Member, memberDigest } from '../../core/archive/members.ts';
import type { Compressor } from './compressor.ts';
import type { MemberRange, PackCache, WrittenArchive } from './pack-cache.ts';

/** Content that is being compressed or waits to be written; more is not read meanwhile. */
const WAITING_BYTES = 16 * 1024 * 1024;
/** What is written at once: waiting for each member takes longer than writing it. */
const WRITE_BYTES = 1024 * 1024;

/** Members of the archive that was packed before, or content that is compressed meanwhile. */
type Waiting = MemberRange | { readonly content: number; readonly ready: Promise<Buffer> };

/**
 * Writes an archive member by member, in order, while the next ones are compressed. As long as it is the one that was
 * packed before, nothing is read or written: mostly nothing, or little, has changed.
 */
export class MemberWriter {
  private readonly members: Member[] = [];
  private readonly hash = createHash('sha256');
  private readonly waiting: Waiting[] = [];
  private waitingBytes = 0;
  private file: FileHandle | null = null;
  private writing: Promise<void> = Promise.resolve();
  private unwritten: Buffer[] = [];
  private unwrittenBytes = 0;
  private bytes = 0;
  private added = 0;

  /** @param previous the archive that was packed before */
  constructor(
    private readonly path: string,
    private readonly compressor: Compressor,
    private readonly previous: PackCache | null,
  ) {}

  /** The number of members so far. */
  get count(): number {
    return this.added;
  }

  /** Adds the next stretch of the tar. The buffer must not change afterwards. */
  async add(content: Buffer): Promise<void> {
    const ready = this.compressor.member(content);
    ready.catch(() => undefined); // reported when its turn comes
    this.waiting.push({ content: content.length, ready });
    this.waitingBytes += content.length;
    this.added += 1;
    while (this.waitingBytes > WAITING_BYTES) await this.takeNext();
  }

  /** Adds members of the archive that was packed before. */
  addStored({ first, count }: MemberRange): void {
    const last = this.waiting.at(-1);
    const isNext = last !== undefined && 'first' in last && last.first + last.count === first;
    if (isNext) this.waiting.splice(-1, 1, { first: last.first, count: last.count + count });
    else this.waiting.push({ first, count });
    this.added += count;
  }

  /** @returns what was written, or the archive that was packed before, when it is the same: then nothing was */
  async end(): Promise<WrittenArchive> {
    while (this.waiting.length > 0) await this.takeNext();
    const { previous } = this;
    if (this.file === null && previous?.archive.members.length === this.members.length) return previous.archive;
    const file = await this.opened();
    await this.write(file);
    await this.writing;
    return { sha256: this.hash.digest('hex'), bytes: this.bytes, members: this.members };
  }

  async close(): Promise<void> {
    await this.writing.catch(() => undefined); // reported by `end`, or something was before
    await this.file?.close();
  }

  private async takeNext(): Promise<void> {
    const next = this.waiting.shift();
    if (next === undefined) return;
    if ('first' in next) return await this.takeStored(next);
    const bytes = await next.ready;
    this.waitingBytes -= next.content;
    const member = { bytes: bytes.length, content: next.content, digest: memberDigest(bytes) };
    const { previous } = this;
    const isSame = this.file === null && previous?.archive.members[this.members.length]?.digest === member.digest;
    if (!isSame) await this.append(await this.opened(), bytes);
    this.members.push(member);
  }

  private async takeStored({ first, count }: MemberRange): Promise<void> {
    const { archive } = this.previous as PackCache;
    const isSame = this.file === null && first === this.members.length;
    if (!isSame) await this.copy(await this.opened(), { first, count });
    this.members.push(...archive.members.slice(first, first + count));
  }

  /** The file, with all members so far. */
  private async opened(): Promise<FileHandle> {
    if (this.file !== null) return this.file;
    // What is at the path may be a link to the archive that was packed before.
    await rm(this.path, { force: true });
    this.file = await open(this.path, 'wx');
    await this.copy(this.file, { first: 0, count: this.members.length });
    return this.file;
  }

  private async copy(file: FileHandle, { first, count }: MemberRange): Promise<void> {
    for await (const bytes of this.previous?.pieces({ first, count }) ?? []) await this.append(file, bytes);
  }

  private async append(file: FileHandle, bytes: Buffer): Promise<void> {
    this.hash.update(bytes);
    this.bytes += bytes.length;
    this.unwritten.push(bytes);
    this.unwrittenBytes += bytes.length;
    if (this.unwrittenBytes >= WRITE_BYTES) await this.write(file);
  }

  private async write(file: FileHandle): Promise<void> {
    const bytes = this.unwritten.length === 1 ? (this.unwritten[0] as Buffer) : Buffer.concat(this.unwritten);
    this.unwritten = [];
    this.unwrittenBytes = 0;
    await this.writing;
    this.writing = file.writeFile(bytes); // where the last one ended, while the next bytes are read
    this.writing.catch(() => undefined); // reported when the next ones are written
  }
}
