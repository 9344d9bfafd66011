import { ArchiveError } from './errors.ts';
import { sniff } from './sniff.ts';
import type { BadTarHeader } from './tar-header.ts';

/** What is said about entries that are neither files nor folders, by type flag: what it is, what to do. */
const REFUSED: Readonly<Record<string, readonly [what: string, next: string]>> = {
  '1': ['a hard link', 'Pack with tar --hard-dereference, or leave it out.'],
  '2': ['a symbolic link', 'Pack with tar -h to store the file it points to, or leave it out.'],
  '3': ['a character device', 'Leave it out.'],
  '4': ['a block device', 'Leave it out.'],
  '6': ['a FIFO', 'Leave it out.'],
  '7': ['a contiguous file', 'Pack it again with GNU tar or bsdtar.'],
  D: ['a folder of an incremental archive', 'Pack without --incremental and --listed-incremental.'],
  M: ['the continuation of a multi-volume archive', 'Pack without --multi-volume.'],
  N: ['a name in an obsolete GNU form', 'Pack it again with GNU tar or bsdtar.'],
  S: ['a sparse file', 'Pack without tar --sparse.'],
  V: ['a volume label', 'Pack without tar --label.'],
};

export const SPARSE: readonly [what: string, next: string] = [
  'a sparse file',
  'Pack without tar --sparse; with bsdtar, use --no-read-sparse.',
];

/** @returns the error for an entry of a type that is refused. `shown` is the entry's printable name. */
export function refusedType(type: string, shown: string, at: number): ArchiveError {
  const code = `0x${type.charCodeAt(0).toString(16).padStart(2, '0')}`;
  const [what, next] = REFUSED[type] ?? [`of the unknown type ${code}`, 'Pack regular files and folders only.'];
  return unsafeEntry(`The entry ${shown} is ${what}`, next, at);
}

/** @returns the error for an entry that could be taken for more than it is. */
export function unsafeEntry(what: string, next: string, at: number): ArchiveError {
  return new ArchiveError('ArchiveUnsafeEntry', { what, next, at: { in: 'tar', byte: at } });
}

/** @returns the error for a tar that is damaged or was made up. */
export function corruptTar(what: string, at: number): ArchiveError {
  const next = 'Pack it again with GNU tar, bsdtar, git archive or Python.';
  return new ArchiveError('ArchiveCorrupt', { what, next, at: { in: 'tar', byte: at } });
}

/**
 * @param reading what was read before, for the message.
 * @returns the error for a header that cannot be read: at the very beginning it may be no tar at all.
 */
export function badHeader(header: BadTarHeader, block: Buffer, at: number, reading: string): ArchiveError {
  if (at === 0 && header.foreign) {
    const holds = sniff(block);
    const twice = holds === 'a gzip file' ? ': it was compressed twice' : '';
    const what = holds.startsWith('a tar')
      ? `Its first header has ${header.bad}`
      : `The gzip file holds ${holds}, not a tar${twice}`;
    return new ArchiveError('ArchiveNotTar', { what, next: 'Pack it with tar czf.', at: { in: 'tar', byte: 0 } });
  }
  return corruptTar(
    at === 0 ? `Its first header has ${header.bad}` : `The header after ${reading} has ${header.bad}`,
    at,
  );
}
