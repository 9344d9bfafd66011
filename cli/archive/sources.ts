import { type Dirent, opendirSync } from 'node:fs';
import { join } from 'node:path';
import { ignoresCase, readOuterScope, readScope, type Scope, verdict } from './ignore-rules.ts';
import { type Belongs, pathBelow } from './paths.ts';
import type { ScanCounter } from './scan.ts';
import type { WorkTree } from './work-tree.ts';

/** A name in a folder, and whether it is part of the project as far as git, or what its ignore files say, goes. */
export interface Child {
  readonly name: string;
  /** For a folder: of the files in it that nothing else is known of. */
  readonly belongs: Belongs;
}

/** Where a walk gets the names in a folder from. */
export interface Source {
  readonly ignoreCase: boolean;
  /** Some of the names may be tracked. */
  readonly mayTrack: boolean;
  /**
   * @param folder real path
   * @param name path in the archive, which differs from `folder` below a link
   * @param belongs of the folder itself
   */
  children(folder: string, name: string, belongs: Belongs): Promise<readonly Child[]>;
  /** Whether a link may lead to this path inside the project. */
  has(path: string): boolean;
}

/** What git lists. */
export class GitSource implements Source {
  readonly ignoreCase: boolean;
  readonly mayTrack = true;
  readonly #top: string;
  /** The names in each folder, by the folder's path. */
  readonly #folders = new Map<string, Map<string, Belongs>>();
  readonly #files: WorkTree['files'];

  constructor(top: string, { files, ignoreCase }: Pick<WorkTree, 'files' | 'ignoreCase'>) {
    this.#top = top;
    this.#files = files;
    this.ignoreCase = ignoreCase;
    for (const [path, belongs] of files) this.#add(path, belongs);
  }

  async children(folder: string): Promise<readonly Child[]> {
    const names = this.#folders.get(pathBelow(this.#top, folder));
    return await Promise.resolve([...(names ?? [])].map(([name, belongs]) => ({ name, belongs })));
  }

  has(path: string): boolean {
    const name = pathBelow(this.#top, path);
    return this.#files.has(name) || this.#folders.has(name);
  }

  #add(path: string, belongs: Belongs): void {
    const slash = path.lastIndexOf('/');
    const folder = path.slice(0, Math.max(slash, 0));
    const names = this.#folders.get(folder);
    const name = path.slice(slash + 1);
    if (names) {
      // A folder in the index that is a link now has both kinds of entries: the file system decides.
      if (!names.has(name)) names.set(name, belongs);
      return;
    }
    this.#folders.set(folder, new Map([[name, belongs]]));
    if (folder !== '') this.#add(folder, 'untracked');
  }
}

const GIT_IGNORE_FILE = '.gitignore';
const READ_AT_ONCE = 1_000;

/** What is in the folders, apart from what their `.gitignore` files exclude. */
export class FolderSource implements Source {
  ignoreCase = false;
  readonly mayTrack = false;
  readonly #outer: readonly Scope[];
  readonly #scopes = new Map<string, readonly Scope[]>();

  readonly #scan: ScanCounter;

  /** @param outer rules of folders above the project */
  constructor(outer: readonly Scope[], scan: ScanCounter) {
    this.#outer = outer;
    this.#scan = scan;
  }

  async children(folder: string, name: string, belongs: Belongs): Promise<readonly Child[]> {
    const entries = this.#read(folder, name);
    const scopes = [...this.#scopesAbove(name), ...(await this.#scopeOf(folder, name, entries))];
    this.#scopes.set(name, scopes);
    return entries.map((entry) => {
      const path = name === '' ? entry.name : `${name}/${entry.name}`;
      const isExcluded = verdict(entry.isDirectory() ? `${path}/` : path, scopes) === 'excluded';
      return { name: entry.name, belongs: belongs === 'ignored' || isExcluded ? 'ignored' : 'untracked' };
    });
  }

  has(): boolean {
    return true;
  }

  #scopesAbove(name: string): readonly Scope[] {
    if (name === '') return this.#outer;
    const slash = name.lastIndexOf('/');
    return this.#scopes.get(name.slice(0, Math.max(slash, 0))) ?? this.#outer;
  }

  /** One entry after the other: a folder of millions must not be read before its caps are checked. */
  #read(folder: string, name: string): Dirent[] {
    const entries: Dirent[] = [];
    const reading = opendirSync(folder, { bufferSize: READ_AT_ONCE });
    try {
      for (let entry = reading.readSync(); entry !== null; entry = reading.readSync()) {
        entries.push(entry);
        if (entries.length % READ_AT_ONCE === 0) this.#scan.addNames(READ_AT_ONCE, name);
      }
    } finally {
      reading.closeSync();
    }
    this.#scan.addNames(entries.length % READ_AT_ONCE, name);
    return entries;
  }

  async #scopeOf(folder: string, name: string, entries: readonly Dirent[]): Promise<Scope[]> {
    if (name === '') this.ignoreCase = await ignoresCase(join(folder, nameWithLetters(entries)));
    // The file system may find the file by its name in other letters.
    if (!this.ignoreCase && !entries.some((entry) => entry.name === GIT_IGNORE_FILE)) return [];
    const file = join(folder, GIT_IGNORE_FILE);
    const scope = await readScope(file, name, { ignoreCase: this.ignoreCase });
    return scope === null ? [] : [scope];
  }
}

/** To find out whether the file system distinguishes cases. */
function nameWithLetters(entries: readonly Dirent[]): string {
  return entries.find(({ name }) => name.toUpperCase() !== name.toLowerCase())?.name ?? '';
}

/**
 * The rules that git would apply from above a folder, where git itself cannot be asked: the `.gitignore` files from the
 * repository's folder down, and `.git/info/exclude`.
 */
export async function scopesAbove(top: string, folder: string): Promise<Scope[]> {
  const parts = pathBelow(top, folder).split('/').filter(Boolean);
  const ignoreCase = await ignoresCase(join(top, '.git'));
  const files = [join(top, '.git', 'info', 'exclude')];
  for (let at = top, index = 0; index < parts.length; index += 1) {
    files.push(join(at, GIT_IGNORE_FILE));
    at = join(at, parts[index] ?? '');
  }
  const scopes: Scope[] = [];
  for (const [index, file] of files.entries()) {
    // The first file has the rules of the repository's folder, as the second does.
    const below = parts.slice(Math.max(index - 1, 0));
    const scope = await readOuterScope(file, below.map((part) => `${part}/`).join(''), { ignoreCase });
    if (scope !== null) scopes.push(scope);
  }
  return scopes;
}
