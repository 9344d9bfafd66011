import { formatSize } from '../units.ts';
import { type ArchiveCaps, overCap } from './caps.ts';
import { Capture, type CaptureOptions } from './capture.ts';
import { findDanger, readEntryName, unsafe } from './entry-name.ts';
import { EntryTree } from './entry-tree.ts';
import { ArchiveError } from './errors.ts';
import { ExtensionReader, type Extensions, type ExtensionType, isExtension } from './extensions.ts';
import { FileDigests } from './file-digests.ts';
import type { GitState } from './git-state.ts';
import { sparseKey } from './pax.ts';
import { printableBytes } from './printable.ts';
import { badHeader, corruptTar, refusedType, SPARSE, unsafeEntry } from './refusals.ts';
import { readTarHeader, type TarHeader } from './tar-header.ts';
import type { TarBody, TarConsumer } from './tar-stream.ts';
import { firstNonZero } from './zeros.ts';

/** A regular file of the archive: its name as `EntryName.path`, the top folder included. */
export interface ArchiveFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

export interface EntriesReport {
  /** Regular files in the archive's order, the top folder still in their names. */
  readonly files: readonly ArchiveFile[];
  /** The one folder that everything lies in, or null. A Mac's `._folder` beside it counts for neither it nor `files`. */
  readonly topFolder: string | null;
  /** The files that `capture` asked for, by the names it gave. */
  readonly captured: ReadonlyMap<string, Uint8Array>;
  /** Hex SHA-256 of the files that `digest` asked for, by their names, the top folder included. */
  readonly digests: ReadonlyMap<string, string>;
  /** The commit that `git archive`, or `runctl push`, noted, or null. */
  readonly git: GitState | null;
}

/** Judges each entry of a tar by its headers, and remembers what the archive holds. */
export class Entries implements TarConsumer {
  reading = 'its first header';
  readonly #files: ArchiveFile[] = [];
  readonly #tree = new EntryTree();
  readonly #capture: Capture;
  readonly #digests: FileDigests;
  readonly #caps: ArchiveCaps;
  readonly #extensions = new ExtensionReader();
  #count = 0;
  #body: ((bytes: Buffer, padding: Buffer) => void) | null = null;

  /** @param digest which files' digests are wanted */
  constructor(caps: ArchiveCaps, capture: CaptureOptions, digest: (name: string) => boolean = () => false) {
    this.#caps = caps;
    this.#capture = new Capture(capture);
    this.#digests = new FileDigests(digest);
  }

  /**
   * What the archive holds, once its end mark was seen.
   * @param at byte of the tar where it ends.
   * @throws ArchiveError ArchiveCorrupt, ArchiveEmpty, ArchiveTooLarge (a captured file).
   */
  result(at: number): EntriesReport {
    const { topFolder } = this.#tree;
    const inside = (file: ArchiveFile) => topFolder === null || file.name.startsWith(`${topFolder}/`);
    const files = this.#files.every(inside) ? this.#files : this.#files.filter(inside);
    if (files.length === 0) {
      throw new ArchiveError('ArchiveEmpty', {
        what: 'It holds no file',
        next: 'Pack the folder that holds the code.',
      });
    }
    if (this.#extensions.waiting)
      throw corruptTar(`After ${this.reading} an entry is missing: its extension header is there`, at);
    const captured = this.#capture.result(topFolder);
    return { files, topFolder, captured, digests: this.#digests.result(), git: this.#extensions.git };
  }

  header(block: Buffer, at: number): TarBody {
    const header = readTarHeader(block);
    if ('bad' in header) throw badHeader(header, block, at, this.reading);
    if (isExtension(header.type)) return this.#extension(header.type, header, at);
    return this.#entry(header, at);
  }

  body(bytes: Buffer, padding: Buffer): void {
    this.#body?.(bytes, padding);
    this.#body = null;
  }

  #extension(type: ExtensionType, { size, extra }: TarHeader, at: number): TarBody {
    if (extra) throw corruptTar(`The header after ${this.reading} has fields that readers understand differently`, at);
    if (type === 'g') this.#counted(at);
    if (size < 0 || size > this.#caps.headerBytes) {
      const cap = formatSize(this.#caps.headerBytes);
      throw overCap(
        'headerBytes',
        `An extension header after ${this.reading} has ${size} bytes; at most ${cap} are allowed`,
        {
          in: 'tar',
          byte: at,
        },
      );
    }
    this.#body = (bytes, padding) => {
      // Python's tarfile reads names and records on into the padding.
      if (firstNonZero(padding) !== null) throw corruptTar('An extension header goes on after its end', at);
      this.#extensions.add(type, bytes, at);
    };
    return { size, keep: true };
  }

  #entry(header: TarHeader, at: number): TarBody {
    const extensions = this.#extensions.take(header, at);
    const bytes = extensions.name ?? header.name;
    const shown = printableBytes(bytes);
    this.reading = shown;
    const folder = this.#isFolder(header, extensions, shown, at);
    const name = readEntryName(bytes, this.#caps, at);
    if (extensions.name !== null) checkOwnName(header, bytes, shown, at);
    const { size } = extensions;
    this.#checkSize(size, folder, shown, at);
    this.#counted(at);
    if (name.parts.length === 0) {
      if (!folder) throw unsafe(`The file ${shown} has no name`, at);
      return { size: 0, keep: false };
    }
    if (!folder && name.slash) throw unsafe(`The name ${shown} of a file ends with a slash`, at);
    this.#tree.add(name.parts, folder ? 'folder' : 'file', at);
    this.#checkCount(this.#tree.size, shown, at);
    if (folder) return { size: 0, keep: false };
    this.#files.push({ name: name.path, size });
    const isCaptured = this.#capture.wants(name.parts, size);
    const isDigested = this.#digests.wants(name.path, size);
    const keep = isCaptured || isDigested;
    if (keep) {
      this.#body = (content) => {
        if (isCaptured) this.#capture.add(name.parts, content);
        if (isDigested) this.#digests.add(name.path, content);
      };
    }
    return { size, keep };
  }

  #isFolder(header: TarHeader, extensions: Extensions, shown: string, at: number): boolean {
    const { type } = header;
    if (!['0', '\0', '5'].includes(type)) throw refusedType(type, shown, at);
    if (header.extra) throw corruptTar(`The header of ${shown} has fields that readers understand differently`, at);
    const sparse = sparseKey(extensions.pax);
    if (sparse !== null) throw unsafeEntry(`The entry ${shown} is ${SPARSE[0]}`, SPARSE[1], at);
    if (extensions.link) throw unsafeEntry(`The entry ${shown} has the target of a link`, 'Leave it out.', at);
    if (type !== '\0') return type === '5';
    // V7 has no type for folders: a slash at the end says it. Readers look at either name.
    const slash = header.name.at(-1) === 0x2f;
    if (extensions.name !== null && slash !== (extensions.name.at(-1) === 0x2f)) {
      throw unsafeEntry(
        `The entry ${shown} is a file by one of its names and a folder by the other`,
        'Pack it again.',
        at,
      );
    }
    return slash;
  }

  #checkSize(size: number, folder: boolean, shown: string, at: number): void {
    if (size < 0) throw unsafeEntry(`The entry ${shown} has a negative size`, 'Pack it again.', at);
    if (folder && size !== 0)
      throw unsafeEntry(`The folder ${shown} has content (${size} bytes)`, 'Pack it again.', at);
    if (at + size > this.#caps.expandedBytes) {
      const cap = formatSize(this.#caps.expandedBytes);
      throw overCap('expandedBytes', `With ${shown} (${formatSize(size)}) it is over ${cap} unpacked`, {
        in: 'tar',
        byte: at,
      });
    }
  }

  #counted(at: number): void {
    this.#checkCount(++this.#count, this.reading, at);
  }

  #checkCount(count: number, shown: string, at: number): void {
    const cap = this.#caps.entries;
    if (count > cap)
      throw overCap('entries', `It has more than ${cap} entries: ${shown} is one more`, { in: 'tar', byte: at });
  }
}

/**
 * A long name leaves a shortened or replaced one in the header itself. A reader that knows no PAX uses that one: where it
 * is dangerous, nobody made it honestly.
 */
function checkOwnName(header: TarHeader, name: Uint8Array, shown: string, at: number): void {
  if (header.name.length === 0) return;
  // The first 100 bytes of a name that was judged already; the cut may lie anywhere.
  if (header.nameFull && Buffer.compare(header.name, name.subarray(0, header.name.length)) === 0) return;
  // Latin-1 would make control characters of UTF-8's second bytes.
  const danger = findDanger(Buffer.from(header.name.map((byte) => (byte < 0x80 ? byte : 0x3f))).toString('latin1'));
  if (danger === null) return;
  throw unsafe(
    `The entry ${shown} has a second name in its header, ${printableBytes(header.name)}, which ${danger}`,
    at,
  );
}
