import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { type Member, memberDigest } from '../../core/archive/members.ts';
import type { Compressor } from './compressor.ts';

/** Content that is being compressed or waits to be written; more is not read meanwhile. */
const WAITING_BYTES = 16 * 1024 * 1024;
/** What is written at once: waiting for each member takes longer than writing it. */
const WRITE_BYTES = 1024 * 1024;

/** A whole archive on this machine. */
export interface WrittenArchive {
  /** Hex. */
  readonly sha256: string;
  readonly bytes: number;
  readonly members: readonly Member[];
}

/** A member that is compressed already. */
export interface StoredMember {
  readonly member: Member;
  readonly bytes: Buffer;
}

/** Writes an archive member by member, in order, while the next ones are compressed. */
export class MemberWriter {
  private readonly members: Member[] = [];
  private readonly hash = createHash('sha256');
  private readonly waiting: { readonly content: number; readonly ready: StoredMember | Promise<Buffer> }[] = [];
  private waitingBytes = 0;
  private unwritten: Buffer[] = [];
  private unwrittenBytes = 0;
  private bytes = 0;
  private added = 0;

  constructor(
    private readonly file: FileHandle,
    private readonly compressor: Compressor,
  ) {}

  /** The number of members so far. */
  get count(): number {
    return this.added;
  }

  /** Adds the next stretch of the tar. The buffer must not change afterwards. */
  async add(content: Buffer): Promise<void> {
    const ready = this.compressor.member(content);
    ready.catch(() => undefined); // reported when its turn comes
    await this.append(content.length, ready);
  }

  async addStored(stored: StoredMember): Promise<void> {
    await this.append(stored.member.content, stored);
  }

  async end(): Promise<WrittenArchive> {
    while (this.waiting.length > 0) await this.takeNext();
    await this.write();
    return { sha256: this.hash.digest('hex'), bytes: this.bytes, members: this.members };
  }

  /** @param content bytes of the tar in the member */
  private async append(content: number, ready: StoredMember | Promise<Buffer>): Promise<void> {
    this.waiting.push({ content, ready });
    this.waitingBytes += content;
    this.added += 1;
    while (this.waitingBytes > WAITING_BYTES) await this.takeNext();
  }

  private async takeNext(): Promise<void> {
    const next = this.waiting.shift();
    if (next === undefined) return;
    const { member, bytes } = 'member' in next.ready ? next.ready : described(await next.ready, next.content);
    this.waitingBytes -= next.content;
    this.hash.update(bytes);
    this.bytes += bytes.length;
    this.members.push(member);
    this.unwritten.push(bytes);
    this.unwrittenBytes += bytes.length;
    if (this.unwrittenBytes >= WRITE_BYTES) await this.write();
  }

  private async write(): Promise<void> {
    const bytes = Buffer.concat(this.unwritten);
    this.unwritten = [];
    this.unwrittenBytes = 0;
    await this.file.writeFile(bytes); // writes on where the last one ended
  }
}

function described(bytes: Buffer, content: number): StoredMember {
  return { member: { bytes: bytes.length, content, digest: memberDigest(bytes) }, bytes };
}
