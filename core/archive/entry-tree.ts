import { ArchiveError } from './errors.ts';
import { printable } from './printable.ts';

type Kind = 'file' | 'folder' | 'implied folder';

interface Node {
  readonly id: number;
  readonly part: string;
  kind: Kind;
}

const ROOT = 0;

/**
 * The tree that an extraction would make, to find names that would meet in one place: the same name twice, names that one
 * file system takes for the same, a file that is also a folder.
 */
export class EntryTree {
  // One flat map keyed by parent and folded part: a fifth of the memory of a map for each folder.
  readonly #nodes = new Map<string, Node>();
  readonly #top: Node[] = [];

  /** Files and folders so far, implied folders included. */
  get size(): number {
    return this.#nodes.size;
  }

  /** The folder that everything lies in, or null. A Mac's `._folder` beside it does not count. */
  get topFolder(): string | null {
    const folders = this.#top.filter(({ kind }) => kind !== 'file');
    const folder = folders[0];
    if (folder === undefined || folders.length > 1) return null;
    return this.#top.every((node) => node === folder || node.part === `._${folder.part}`) ? folder.part : null;
  }

  /**
   * @param parts of the name, at least one.
   * @param at byte of the tar where the entry's header begins.
   * @throws ArchiveError ArchiveDuplicateName.
   */
  add(parts: readonly string[], kind: 'file' | 'folder', at: number): void {
    let parent = ROOT;
    for (const [index, part] of parts.entries()) {
      const last = index === parts.length - 1;
      const wanted: Kind = last ? kind : 'implied folder';
      const key = `${parent}/${fold(part)}`;
      const found = this.#nodes.get(key);
      if (found === undefined) {
        const node: Node = { id: this.#nodes.size + 1, part, kind: wanted };
        this.#nodes.set(key, node);
        if (parent === ROOT) this.#top.push(node);
        parent = node.id;
        continue;
      }
      const clash = findClash(found, part, wanted);
      if (clash !== null) throw duplicate(parts.slice(0, index + 1).join('/'), clash, at);
      if (last) found.kind = kind;
      parent = found.id;
    }
  }
}

function findClash(found: Node, part: string, wanted: Kind): string | null {
  if (found.part !== part) {
    return `and another entry's name, ${printable(found.part)}, differ only in case or Unicode form`;
  }
  if (found.kind === 'file' && wanted === 'file') return 'is there twice';
  if (found.kind === 'file' || wanted === 'file') return 'is both a file and a folder';
  return found.kind === 'folder' && wanted === 'folder' ? 'is there twice' : null;
}

/** One text for all names that some file system (macOS, Windows) takes for the same: case folded, canonical form. */
function fold(part: string): string {
  // Most names: one pass, and the same answer.
  if (/^[\x20-\x7e]*$/.test(part)) return part.toUpperCase();
  // Lower first, or the capital ẞ stays apart from ß; then upper, so that both meet SS.
  return part.normalize('NFD').toLowerCase().toUpperCase().normalize('NFD');
}

function duplicate(path: string, clash: string, at: number): ArchiveError {
  return new ArchiveError('ArchiveDuplicateName', {
    what: `The name ${printable(path)} ${clash}`,
    at: { in: 'tar', byte: at },
    next: 'Which one is meant cannot be told: rename or leave out one of them and pack again.',
  });
}
