import { ArchiveError, type ArchiveOffset } from './errors.ts';

/** What an archive may be at most. Each is a context value of the stack. */
export interface ArchiveCaps {
  /** Bytes of the upload. */
  readonly compressedBytes: number;
  /** Bytes of the tar inside it, headers and padding included. */
  readonly expandedBytes: number;
  /** Expanded bytes for each compressed one, once past `RATIO_FLOOR_BYTES`. */
  readonly ratio: number;
  /** Files and folders, those only implied by a longer name included: what an extraction creates. */
  readonly entries: number;
  /** Parts of a name: `a/b/c` has three. */
  readonly depth: number;
  /** UTF-8 bytes of a whole name. */
  readonly nameBytes: number;
  /** Bytes of one PAX or GNU long-name header: held in memory. */
  readonly headerBytes: number;
}

const MiB = 1024 * 1024;

/** Sized for a project of 5,000 files and 500 MB to pass with room to spare. */
export const DEFAULT_CAPS: ArchiveCaps = {
  // Twice 500 MB: see READ_ARCHIVE_S.
  compressedBytes: 1024 * MiB,
  // Four times 500 MB. Old code, staged code and archive together are then at most 2 + 2 + 1 GiB of an 8 GiB root disk.
  expandedBytes: 2048 * MiB,
  // Source code reaches 5–10, JSON and logs 20–40, label masks about 100; deflate's own limit, which bombs use, is 1,032.
  ratio: 200,
  // Four times 5,000. A .venv (20,000–50,000) or node_modules packed by mistake is over it.
  entries: 20_000,
  // Twice the deepest that npm, Python packages and Java sources reach (about 30).
  depth: 64,
  // A quarter of Linux' PATH_MAX (4,096): room for home, project and staging in front.
  nameBytes: 1024,
  // macOS puts extended attributes here, a few KB each; four times the largest seen (256 KB).
  headerBytes: MiB,
};

/** MiB of memory, and so of CPU: 0.29 vCPU (1 vCPU for 1,769 MB). */
export const READ_ARCHIVE_MEMORY_MIB = 512;
/**
 * How long Verify archive may take. The largest archive, 1 GiB of incompressible data, takes 24 s of CPU (155 MB a CPU second, 0.29 vCPU:
 * 45 MB/s), and 54 s from S3 at 20 MB/s.
 */
export const READ_ARCHIVE_S = 300;

/** Small files may shrink as they like: below this an archive is harmless whatever its ratio. 32 MiB expand in 0.1 s. */
export const RATIO_FLOOR_BYTES = 32 * MiB;

/** NAME_MAX of ext4 and xfs: a longer part could not be created on the instance. */
export const PART_BYTES = 255;

/**
 * bgzip starts a new gzip member every 65,280 bytes, the smallest that tools use: 2 GiB are 32,897 of them. Others start
 * one for each file: five times the default of `entries`. Each costs about 60 µs, so empty ones are refused after 6 s.
 */
export const GZIP_MEMBERS = 100_000;

/** @returns the error for an archive over one of its caps. */
export function overCap(cap: keyof ArchiveCaps, what: string, at?: ArchiveOffset): ArchiveError {
  const next = `Leave out what the training does not need (data, .venv, .git, checkpoints), or raise the cap \`${cap}\`.`;
  return new ArchiveError('ArchiveTooLarge', at ? { what, next, at } : { what, next });
}
