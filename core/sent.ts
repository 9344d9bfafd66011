import { formatCount, formatSize } from './units.ts';

/** What a command says that it uploaded for a run. Nobody else knows: an archive that was there already has no upload. */
export interface Sent {
  readonly bytes: number;
  /** Files that the archive packed in that folder before did not have, or had otherwise; null: there was none. */
  readonly changedFiles: number | null;
}

/** What the functions know of the same archive. */
interface Measured {
  readonly bytes: number;
  readonly files: number;
  /** Of the patch that it was assembled of; null: it was uploaded whole, or was there. */
  readonly patchBytes: number | null;
}

/** `3 of 2,004 files changed, 4.1 KiB of 31.9 MiB sent` */
export function sentText(
  { bytes, changedFiles }: Sent,
  archive: { readonly bytes: number; readonly files: number },
): string {
  const files =
    changedFiles === null ? '' : `${formatCount(changedFiles)} of ${formatCount(archive.files)} files changed, `;
  return `${files}${formatSize(bytes)} of ${formatSize(archive.bytes)} sent`;
}

/** @returns what the command says; null where that cannot be: more than there is, or not the patch that was uploaded */
export function believableSent(
  said: { readonly bytes: number; readonly changedFiles?: number | null | undefined } | undefined,
  { bytes, files, patchBytes }: Measured,
): Sent | null {
  if (said === undefined || (said.changedFiles ?? 0) > files) return null;
  // A patch that could not be assembled is followed by the whole archive.
  const isPossible = patchBytes === null ? said.bytes <= 2 * bytes : said.bytes === patchBytes;
  return isPossible ? { bytes: said.bytes, changedFiles: said.changedFiles ?? null } : null;
}
