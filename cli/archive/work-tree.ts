import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GitError, git, gitRecords } from './git.ts';
import { type Belongs, pathBelow } from './paths.ts';
import { exists, findTop, isIgnored, isSet, type NoAnswer, unreadable } from './repository.ts';

/** Whether a path that git lists is needed at all. */
export type PathFilter = (path: string, belongs: Belongs) => boolean;

/** A folder as git sees it. */
export interface WorkTree {
  /** The folder of the repository. */
  readonly top: string;
  /** By path relative to the folder. Ignored files are there only when they were asked for. */
  readonly files: ReadonlyMap<string, Belongs>;
  /** Checked-out commit; null before the first one. */
  readonly commit: string | null;
  /** Tracked files that differ from the commit. */
  readonly changed: number;
  /** Tracked files that are not in the work tree: the checkout is sparse. */
  readonly sparse: number;
  /** Submodules and inner repositories without files to list, by path relative to the folder. */
  readonly absentSubmodules: readonly string[];
  /** Other work trees of a repository, by path relative to the folder: they are not listed. */
  readonly linkedTrees: readonly string[];
  /** `core.ignorecase` of the repository. */
  readonly ignoreCase: boolean;
}

export interface WorkTreeOptions {
  /** Lists ignored files as well. */
  readonly ignored?: boolean;
  /** Lists this file of the folder alone; null: all. */
  readonly only?: string | null;
  /** Makes the filter of what is listed. @param ignoreCase `core.ignorecase` of the repository */
  readonly filterFor?: ((ignoreCase: boolean) => Promise<PathFilter>) | undefined;
  /** Gets the number of further files that were listed; what it throws ends the listing. */
  readonly onFiles?: (count: number) => void;
}

/** The commit, and the tracked files that differ from it. Submodules are asked themselves. */
const STATUS = [
  'status',
  '--porcelain=v2',
  '--branch',
  '--no-renames',
  '--untracked-files=no',
  '--ignore-submodules=dirty',
];
const GITLINK = '160000';
const REGULAR = /^100/;

/**
 * Asks git which files of a folder belong to its repository.
 * @param folder real path
 * @returns null outside of work trees, and in a folder that the repository around it ignores
 * @throws PackError when git refuses the repository
 */
export async function readWorkTree(folder: string, options: WorkTreeOptions = {}): Promise<WorkTree | NoAnswer | null> {
  const top = await findTop(folder);
  if (top === null || typeof top !== 'string') return top;
  try {
    return await readFrom(top, folder, options);
  } catch (error) {
    throw error instanceof GitError ? unreadable(top, error) : error;
  }
}

async function readFrom(top: string, folder: string, options: WorkTreeOptions): Promise<WorkTree | null> {
  const ignoreCase = await isSet(folder, 'core.ignorecase');
  const filter = (await options.filterFor?.(ignoreCase)) ?? (() => true);
  const tree = new Collected(folder, top, { ...options, filterFor: undefined }, filter);
  const { entries, others, status } = await ask(folder, options, filter);
  if (entries.length === 0 && folder !== top && (await isIgnored(folder))) return null;
  const lines = status.toString('utf8').split('\n');
  const commit = lines.find((line) => line.startsWith('# branch.oid '))?.slice('# branch.oid '.length) ?? '';
  await tree.addTracked(entries);
  for (const [name, belongs] of others) await tree.addOther(name, belongs);
  return {
    top,
    files: tree.files,
    commit: /^[0-9a-f]+$/.test(commit) ? commit : null,
    changed: tree.changed + lines.filter((line) => /^[12u] /.test(line)).length,
    sparse: tree.sparse,
    absentSubmodules: tree.absentSubmodules,
    linkedTrees: tree.linkedTrees,
    ignoreCase,
  };
}

async function ask(folder: string, { only, ignored, onFiles }: WorkTreeOptions, filter: PathFilter) {
  const failed = new AbortController();
  const where = typeof only === 'string' ? `:(literal)${only}` : '.';
  const entries: IndexEntry[] = [];
  const others: [name: string, belongs: Belongs][] = [];
  const list = (onRecord: (record: string) => void, ...args: string[]) =>
    gitRecords(folder, ['ls-files', '-z', ...args, '--', where], onRecord, failed.signal);
  const addOther = (belongs: Belongs) => (name: string) => {
    if (!filter(name, belongs)) return;
    others.push([name, belongs]);
    onFiles?.(1);
  };
  const addTracked = (record: string) => {
    const entry = readIndexEntry(record);
    entries.push(entry); // what is left out of these is a difference
    if (filter(entry.path, 'tracked')) onFiles?.(1);
  };
  try {
    const [status] = await Promise.all([
      git(folder, [...STATUS, '--', where], { signal: failed.signal }),
      list(addTracked, '--stage', '-v'),
      list(addOther('untracked'), '--others', '--exclude-standard'),
      ignored === true ? list(addOther('ignored'), '--others', '--ignored', '--exclude-standard') : null,
    ]);
    return { entries, others, status };
  } catch (error) {
    failed.abort(); // the others would keep the command waiting
    throw error;
  }
}

/** An entry of the index: `<tag> <mode> <object> <stage>\t<path>`. */
interface IndexEntry {
  readonly mode: string;
  readonly object: string;
  readonly path: string;
  /** git does not compare the file in the work tree with the index. */
  readonly isUnchecked: boolean;
  readonly isSparse: boolean;
}

function readIndexEntry(record: string): IndexEntry {
  const [, tag = '', mode = '', object = '', path = ''] = /^(\S) (\d+) ([0-9a-f]+) \d\t(.*)$/s.exec(record) ?? [];
  const isSparse = tag.toUpperCase() === 'S';
  // A lower-case tag is an entry that is assumed to be unchanged (git ls-files, -v).
  return { mode, object, path, isUnchecked: isSparse || tag !== tag.toUpperCase(), isSparse };
}

class Collected {
  readonly files = new Map<string, Belongs>();
  readonly absentSubmodules: string[] = [];
  readonly linkedTrees: string[] = [];
  changed = 0;
  sparse = 0;
  readonly #folder: string;
  readonly #top: string;
  readonly #options: WorkTreeOptions;
  readonly #filter: PathFilter;

  constructor(folder: string, top: string, options: WorkTreeOptions, filter: PathFilter) {
    this.#filter = filter;
    this.#folder = folder;
    this.#top = top;
    this.#options = options;
  }

  async addTracked(entries: readonly IndexEntry[]): Promise<void> {
    const unchecked: IndexEntry[] = [];
    for (const entry of entries) {
      if (entry.mode === GITLINK) await this.#addSubmodule(entry.path);
      else {
        this.files.set(entry.path, 'tracked');
        if (entry.isUnchecked) {
          if (await exists(join(this.#folder, entry.path))) unchecked.push(entry);
          else if (entry.isSparse) this.sparse += 1;
          else this.changed += 1;
        }
      }
    }
    this.changed += await countChanged(this.#folder, this.#top, unchecked);
  }

  /** An untracked or ignored path; a slash at its end: a folder with a repository of its own, which git does not enter. */
  async addOther(name: string, belongs: Belongs): Promise<void> {
    if (!name.endsWith('/')) {
      this.files.set(name, belongs);
      return;
    }
    if (await isLinkedTree(join(this.#folder, name))) {
      if (belongs !== 'ignored') this.linkedTrees.push(name.slice(0, -1));
      return;
    }
    const inner = await this.#enter(name);
    if (inner === null) {
      this.absentSubmodules.push(name.slice(0, -1));
      return;
    }
    for (const [path, kind] of inner.files)
      this.files.set(`${name}${path}`, kind === 'ignored' || belongs === 'ignored' ? 'ignored' : 'untracked');
  }

  async #addSubmodule(path: string): Promise<void> {
    const inner = await this.#enter(`${path}/`);
    if (inner === null) {
      this.absentSubmodules.push(path);
      return;
    }
    for (const [name, belongs] of inner.files) this.files.set(`${path}/${name}`, belongs);
    this.absentSubmodules.push(...inner.absentSubmodules.map((name) => `${path}/${name}`));
    this.linkedTrees.push(...inner.linkedTrees.map((name) => `${path}/${name}`));
    this.changed += inner.changed;
    this.sparse += inner.sparse;
  }

  async #enter(name: string): Promise<WorkTree | null> {
    const folder = join(this.#folder, name);
    if (!(await exists(join(folder, '.git')))) return null;
    const filter: PathFilter = (path, belongs) => this.#filter(`${name}${path}`, belongs);
    const inner = await readWorkTree(folder, { ...this.#options, filterFor: () => Promise.resolve(filter) });
    return inner === null || 'reason' in inner ? null : inner;
  }
}

/** Compares files with the index that git itself does not compare. */
async function countChanged(folder: string, top: string, entries: readonly IndexEntry[]): Promise<number> {
  const files = entries.filter(({ mode, path }) => REGULAR.test(mode) && !path.includes('\n'));
  if (files.length === 0) return 0;
  // git takes these paths from the repository's folder, wherever it runs.
  const input = files.map(({ path }) => `${pathBelow(top, join(folder, path))}\n`).join('');
  const hashing = git(top, ['hash-object', '--stdin-paths'], { input });
  // A folder in place of a file cannot be read: that is a change.
  const objects = (await hashing.catch(() => Buffer.alloc(0))).toString('latin1').split('\n');
  return files.filter(({ object }, index) => object !== objects[index]).length;
}

/** Made by `git worktree add`: `.git` is a file that leads into the repository's `worktrees/`. */
async function isLinkedTree(folder: string): Promise<boolean> {
  const text = await readFile(join(folder, '.git'), 'utf8').catch(() => '');
  return /^gitdir: .*[\\/]worktrees[\\/]/.test(text);
}
