import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { type Member, memberDigest } from '../../core/archive/members.ts';
import type { Compressor } from './compressor.ts';

/** Content that is being compressed or waits to be written; more is not read meanwhile. */
const WAITING_BYTES = 16 * 1024 * 1024;

/** A whole archive on this machine. */
export interface WrittenArchive {
  /** Hex. */
  readonly sha256: string;
  readonly bytes: number;
  readonly members: readonly Member[];
}

/** Writes an archive member by member, in order, while the next ones are compressed. */
export class MemberWriter {
  private readonly members: Member[] = [];
  private readonly hash = createHash('sha256');
  private readonly waiting: { readonly content: number; readonly member: Promise<Buffer> }[] = [];
  private waitingBytes = 0;
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
    await this.addMember(content.length, this.compressor.member(content));
  }

  /** @param content bytes of the tar in the member */
  async addMember(content: number, member: Promise<Buffer>): Promise<void> {
    member.catch(() => undefined); // reported when its turn comes
    this.waiting.push({ content, member });
    this.waitingBytes += content;
    this.added += 1;
    while (this.waitingBytes > WAITING_BYTES) await this.writeNext();
  }

  async end(): Promise<WrittenArchive> {
    while (this.waiting.length > 0) await this.writeNext();
    return { sha256: this.hash.digest('hex'), bytes: this.bytes, members: this.members };
  }

  private async writeNext(): Promise<void> {
    const next = this.waiting.shift();
    if (next === undefined) return;
    const member = await next.member;
    this.waitingBytes -= next.content;
    this.hash.update(member);
    this.bytes += member.length;
    this.members.push({ bytes: member.length, content: next.content, digest: memberDigest(member) });
    await this.file.writeFile(member); // writes on where the last one ended
  }
}
