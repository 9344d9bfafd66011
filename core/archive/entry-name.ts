import { type ArchiveCaps, overCap, PART_BYTES } from './caps.ts';
import { ArchiveError } from './errors.ts';
import { findUnprintable, printable, printableBytes } from './printable.ts';

export interface EntryName {
  /** Without `./`, doubled or trailing slashes; empty for the archive's root (`./`). */
  readonly path: string;
  readonly parts: readonly string[];
  /** Whether it was written with a slash at its end. */
  readonly slash: boolean;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Judges an entry's name and takes it apart.
 * @param at byte of the tar where the entry's header begins.
 * @throws ArchiveError ArchiveUnsafeName, ArchiveTooLarge.
 */
export function readEntryName(bytes: Uint8Array, caps: ArchiveCaps, at: number): EntryName {
  const shown = printableBytes(bytes);
  if (bytes.length > caps.nameBytes) {
    throw overCap('nameBytes', `The name ${shown} has ${bytes.length} bytes; at most ${caps.nameBytes} are allowed`, {
      in: 'tar',
      byte: at,
    });
  }
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw unsafe(`The name ${shown} is not UTF-8`, at);
  }
  const danger = findDanger(text);
  if (danger !== null) throw unsafe(`The name ${shown} ${danger}`, at);
  const parts = text.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.length > caps.depth) {
    throw overCap('depth', `The name ${shown} is ${parts.length} folders deep; at most ${caps.depth} are allowed`, {
      in: 'tar',
      byte: at,
    });
  }
  const long = parts.find((part) => Buffer.byteLength(part) > PART_BYTES);
  if (long !== undefined) throw unsafe(`The name ${shown} has a part of more than ${PART_BYTES} bytes`, at);
  return { path: parts.join('/'), parts, slash: text.endsWith('/') };
}

/**
 * @param text a name, or bytes of one as Latin-1: what makes a name dangerous is ASCII.
 * @returns what is dangerous about the name, as the end of a sentence; null when nothing is.
 */
export function findDanger(text: string): string | null {
  if (text === '') return 'is empty';
  if (text.startsWith('/')) return 'is absolute';
  if (text.split('/').includes('..')) return 'leaves its folder (..)';
  if (text.includes('\\')) return 'has a backslash: a Windows separator would become part of a file name';
  if (/^(\.\/)*[A-Za-z]:/.test(text)) return 'begins with a drive letter';
  const odd = findUnprintable(text);
  return odd === null ? null : `has a control character (${printable(odd)})`;
}

/** @returns the error for a name that is refused. */
export function unsafe(what: string, at: number): ArchiveError {
  return new ArchiveError('ArchiveUnsafeName', {
    what,
    at: { in: 'tar', byte: at },
    next: 'Rename or leave out that file, and pack from inside the project: tar czf code.tar.gz -C <project> .',
  });
}
