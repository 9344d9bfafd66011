/**
 * Every way an archive can be refused. Names are a contract: the outcome table, the runbook and people's alarms use them.
 * Whatever else `verifyArchive` throws came from the source of the bytes, and may be worth a retry; these never are.
 */
export const ARCHIVE_ERROR_NAMES = [
  'ArchiveNotGzip',
  'ArchiveNotTar',
  'ArchiveTruncated',
  'ArchiveCorrupt',
  'ArchiveTrailingData',
  'ArchiveEmpty',
  'ArchiveUnsafeName',
  'ArchiveUnsafeEntry',
  'ArchiveDuplicateName',
  'ArchiveTooLarge',
] as const;

export type ArchiveErrorName = (typeof ARCHIVE_ERROR_NAMES)[number];

/** Where something was found: bytes from the start of the upload, or of the tar inside it. */
export interface ArchiveOffset {
  readonly in: 'upload' | 'tar';
  readonly byte: number;
}

export interface ArchiveErrorDetails {
  /** What is wrong, with the entry's printable name in it where there is one: one sentence. */
  readonly what: string;
  /** What the person does about it: one sentence. */
  readonly next: string;
  readonly at?: ArchiveOffset;
}

/** An archive that is refused. `message` is `what`, then where, then `next`. */
export class ArchiveError extends Error {
  override readonly name: ArchiveErrorName;
  readonly what: string;
  readonly next: string;
  readonly at: ArchiveOffset | null;

  constructor(name: ArchiveErrorName, details: ArchiveErrorDetails) {
    const { what, next, at } = details;
    const where = at ? ` (byte ${at.byte} of the ${at.in === 'upload' ? 'upload' : 'unpacked tar'})` : '';
    super(`${what}${where}. ${next}`);
    this.name = name;
    this.what = what;
    this.next = next;
    this.at = at ?? null;
  }
}
