import { type Dirent, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { NEVER, PRIVATE } from './paths.ts';

/** A folder whose files are packed. */
export interface PackedFolder {
  readonly path: string;
  /** Its path in the archive, '' for the project itself. */
  readonly name: string;
}

/** A folder with more entries that are not packed is named as a whole. */
const MAX_NAMES_PER_FOLDER = 200;
/** The list is held in memory by Verify archive and by the instance; 64 KB are about 2,000 names. */
const MAX_BYTES = 64 * 1024;

/**
 * Lists what exists in the project and is not packed, as few names as possible: a folder without any packed file is one
 * name with a slash at its end, and is not read. Folders that are never packed are not listed.
 * @param packed names of the packed files
 */
export function findLeftOut(folders: readonly PackedFolder[], packed: readonly string[]): string[] {
  const search = new Search(packed);
  for (const { path, name } of folders) search.visit(path, name);
  return shorten(search.leftOut.sort());
}

class Search {
  readonly leftOut: string[] = [];
  readonly #files: ReadonlySet<string>;
  readonly #folders = new Set<string>();

  constructor(files: readonly string[]) {
    this.#files = new Set(files);
    for (const file of files) {
      for (let slash = file.indexOf('/'); slash !== -1; slash = file.indexOf('/', slash + 1))
        this.#folders.add(file.slice(0, slash));
    }
  }

  visit(path: string, name: string): void {
    const prefix = name === '' ? '' : `${name}/`;
    const entries = entriesOf(path);
    const others: string[] = [];
    const inner: Dirent[] = [];
    for (const entry of entries) {
      if (PRIVATE.has(entry.name) || NEVER.has(entry.name) || this.#files.has(prefix + entry.name)) continue;
      if (this.#folders.has(prefix + entry.name)) inner.push(entry);
      else others.push(...namesOf(prefix + entry.name, entry));
    }
    if (others.length > MAX_NAMES_PER_FOLDER) {
      this.leftOut.push(prefix);
      return;
    }
    this.leftOut.push(...others);
    for (const entry of inner) this.visit(join(path, entry.name), prefix + entry.name);
  }
}

/** Waiting for a folder takes longer than reading it. */
function entriesOf(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** A link may lead to a folder, or to a file. */
function namesOf(name: string, entry: Dirent): string[] {
  if (entry.isSymbolicLink()) return [name, `${name}/`];
  return [entry.isDirectory() ? `${name}/` : name];
}

function shorten(names: readonly string[]): string[] {
  const fits = (list: readonly string[]) => Buffer.byteLength(JSON.stringify(list)) <= MAX_BYTES;
  if (fits(names)) return [...names];
  const atTop = [...new Set(names.map((name) => name.slice(0, name.indexOf('/') + 1) || name))];
  return fits(atTop) ? atTop : [''];
}
