import { type GitState, parseGitComment } from './git-state.ts';
import { type PaxRecords, readPax } from './pax.ts';
import { corruptTar } from './refusals.ts';
import { type TarHeader, untilZero } from './tar-header.ts';
import { firstNonZero } from './zeros.ts';

/** The headers that speak about the next entry (`x`, `L`, `K`) or the rest of the archive (`g`). */
export type ExtensionType = 'x' | 'g' | 'L' | 'K';

/** What the extension headers before an entry say about it. */
export interface Extensions {
  readonly pax: PaxRecords;
  /** From PAX `path` or a GNU long name; null when the header's own name counts. */
  readonly name: Uint8Array | null;
  /** Whether there was the target of a link. */
  readonly link: boolean;
  /** Bytes of content: the header's number, or PAX's where the header has no room for it. */
  readonly size: number;
}

/** What a global header must not say, since readers differ in whether they listen. */
const NOT_GLOBAL = /^(path|linkpath|size|hdrcharset|GNU\.sparse\..*)$/;
const CHARSETS = ['BINARY', 'ISO-IR 10646 2000 UTF-8'];

export function isExtension(type: string): type is ExtensionType {
  return type === 'x' || type === 'g' || type === 'L' || type === 'K';
}

/** Collects extension headers until the entry that they speak about. */
export class ExtensionReader {
  #bodies = new Map<ExtensionType, Uint8Array>();
  #git: GitState | null = null;
  #afterGlobal = false;

  /** The commit that `git archive`, or `runctl push`, notes in a global header. */
  get git(): GitState | null {
    return this.#git;
  }

  /** Whether an extension header waits for an entry. A global one does too: Python's tarfile fails without one. */
  get waiting(): boolean {
    return this.#afterGlobal || this.#bodies.size > 0;
  }

  /**
   * @param at byte of the tar where the extension's header begins.
   * @throws ArchiveError ArchiveCorrupt.
   */
  add(type: ExtensionType, body: Buffer, at: number): void {
    if (type === 'g') {
      if (this.#bodies.size > 0) throw corruptTar('Between an extension header and its entry is a global one', at);
      this.#readGlobal(records(body, at), at);
      this.#afterGlobal = true;
      return;
    }
    if (this.#bodies.has(type)) throw corruptTar('Two extension headers of one kind speak about one entry', at);
    this.#bodies.set(type, body);
  }

  /**
   * @returns what was said about the entry whose header this is, and forgets it.
   * @throws ArchiveError ArchiveCorrupt.
   */
  take(header: TarHeader, at: number): Extensions {
    const bodies = this.#bodies;
    this.#afterGlobal = false;
    if (bodies.size === 0) return { pax: new Map(), name: null, link: false, size: header.size };
    this.#bodies = new Map();
    const pax = records(bodies.get('x') ?? new Uint8Array(), at);
    const path = pax.get('path') ?? null;
    const long = bodies.get('L');
    if (path !== null && long !== undefined) throw corruptTar('An entry has both a PAX and a GNU long name', at);
    const charset = pax.get('hdrcharset');
    if (charset !== undefined && !CHARSETS.includes(latin1(charset)))
      throw corruptTar('A PAX header has an unknown charset', at);
    return {
      pax,
      name: long === undefined ? path : longName(long, at),
      link: bodies.has('K') || pax.has('linkpath'),
      size: readSize(pax, header, at),
    };
  }

  #readGlobal(global: PaxRecords, at: number): void {
    for (const key of global.keys()) {
      if (NOT_GLOBAL.test(key))
        throw corruptTar(`A global PAX header sets \`${key.slice(0, 40)}\` for every entry`, at);
    }
    this.#git = parseGitComment(latin1(global.get('comment') ?? new Uint8Array())) ?? this.#git;
  }
}

/** 8 GiB: what the eleven octal digits of a header's size field cannot say. */
const OCTAL_SIZES = 8 ** 11;

/** A size that PAX and header disagree about hides entries from one of two readers (CVE-2025-62518 was this). */
function readSize(pax: PaxRecords, header: TarHeader, at: number): number {
  const text = pax.get('size');
  if (text === undefined) return header.size;
  const digits = latin1(text);
  const size = /^(0|[1-9][0-9]{0,15})$/.test(digits) ? Number(digits) : Number.NaN;
  // A size with no room in the header leaves 0 there.
  if (size === header.size || (size >= OCTAL_SIZES && header.size === 0)) return size;
  const said = JSON.stringify(digits.slice(0, 20));
  throw corruptTar(`An entry has two sizes: ${header.size} in its header, ${said} in PAX`, at);
}

function records(body: Uint8Array, at: number): PaxRecords {
  const pax = readPax(body);
  if (typeof pax === 'string') throw corruptTar(`A PAX header has ${pax}`, at);
  return pax;
}

/** GNU ends the name with a NUL; what follows one, some readers see and some do not. */
function longName(body: Uint8Array, at: number): Uint8Array {
  const name = untilZero(body, 0, body.length);
  if (firstNonZero(body.subarray(name.length)) !== null) throw corruptTar('A GNU long name goes on after its end', at);
  return name;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
