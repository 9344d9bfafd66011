import { lstat, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import ignore, { type Ignore } from 'ignore';
import { PackError } from './pack-error.ts';
import { isSecretName } from './secrets.ts';

export interface ProjectFile {
  /** Path in the archive, `/` between its parts. */
  readonly name: string;
  /** Where it is read from; a link is followed. */
  readonly path: string;
  readonly bytes: number;
  readonly executable: boolean;
}

/** Later files decide over earlier ones: .runctlignore can bring back by `!name` what .gitignore leaves out. */
const IGNORE_FILES = ['.gitignore', '.runctlignore'];
/** Never part of a project's code, whatever the ignore files say. */
const NEVER = new Set(['.git', '__pycache__', 'node_modules', '.runctl', 'runctl-runs']);
/** What makes a folder a virtual environment. */
const VENV_MARK = 'pyvenv.cfg';

/** The ignore rules of one folder, for the paths below it. */
interface Scope {
  /** Path in the archive of the folder, '' for the top. */
  readonly folder: string;
  readonly rules: Ignore;
}

/** What was found in a project folder. */
export interface Listing {
  /** By code units of their names, not by locale: the order must be the same on every machine. */
  readonly files: readonly ProjectFile[];
  /** Left out since they look like secrets. */
  readonly secrets: readonly string[];
  /** What else was left out though nobody asked for it, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * The files of a project: what `.gitignore` and `.runctlignore` leave, in the folder and below it, without `.git`, virtual
 * environments, `__pycache__`, `node_modules` and `.runctl`, and without secrets unless they are asked for. Links inside
 * the folder are followed, others are left out with a warning, as are sockets, devices, and what cannot be read. Folders
 * without files are not kept.
 * @throws PackError when nothing is left, or the folder is none.
 */
export async function listFiles(folder: string, options: { includeSecrets?: boolean } = {}): Promise<Listing> {
  const top = await realpath(folder).catch((cause: unknown) => {
    throw new PackError(`There is no folder ${folder}`, 'Give the path of the project folder.', { cause });
  });
  if (!(await stat(top)).isDirectory())
    throw new PackError(`${folder} is a file, not a folder`, 'Give the path of the project folder.');
  const walk = new Walk(top, options.includeSecrets === true);
  await walk.enter(top, '', [], []);
  if (walk.files.length === 0) throw nothingToPack(folder, walk.ignored);
  walk.files.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { files: walk.files, secrets: walk.secrets, warnings: walk.warnings };
}

export function nothingToPack(folder: string, ignored = 0): PackError {
  return new PackError(
    `There is nothing to pack in ${folder}${ignored > 0 ? `: the ignore files leave out all ${ignored} entries` : ''}`,
    'Give the folder that holds the training script; see .gitignore and .runctlignore in it.',
  );
}

class Walk {
  readonly files: ProjectFile[] = [];
  readonly warnings: string[] = [];
  readonly secrets: string[] = [];
  ignored = 0;
  readonly #top: string;
  readonly #includeSecrets: boolean;

  constructor(top: string, includeSecrets: boolean) {
    this.#top = top;
    this.#includeSecrets = includeSecrets;
  }

  /** @param above the real paths of the folders that this one lies in: a link to one of them has no end. */
  async enter(folder: string, name: string, outer: readonly Scope[], above: readonly string[]): Promise<void> {
    const names = (await this.#look(name, readdir(folder)))?.sort();
    if (names === undefined || (names.includes(VENV_MARK) && name !== '')) return;
    const scopes = [...outer, ...(await scopeOf(folder, name, names))];
    const inside = [...above, await realpath(folder)];
    for (const child of names) {
      const path = join(folder, child);
      await this.#visit(path, name === '' ? child : `${name}/${child}`, scopes, inside);
    }
  }

  async #visit(path: string, name: string, scopes: readonly Scope[], above: readonly string[]): Promise<void> {
    if (NEVER.has(basename(path))) return;
    const link = (await this.#look(name, lstat(path)))?.isSymbolicLink();
    if (link === undefined) return;
    const target = link ? await this.#follow(path, name) : path;
    if (target === undefined) return;
    const info = await this.#look(name, stat(target));
    if (info === undefined) return;
    if (isIgnored(info.isDirectory() ? `${name}/` : name, scopes)) {
      this.ignored += 1;
      return;
    }
    if (info.isDirectory()) {
      if (link && above.includes(target)) return this.#leave(name, 'a link to a folder that it lies in');
      await this.enter(target, name, scopes, above);
    } else if (info.isFile() && !this.#includeSecrets && isSecretName(name)) {
      this.secrets.push(name);
    } else if (info.isFile()) {
      this.files.push({ name, path: target, bytes: info.size, executable: (info.mode & 0o100) !== 0 });
    } else this.#leave(name, 'neither a file nor a folder');
  }

  /** Where a link leads inside the project; undefined, with a warning, when it leads elsewhere. */
  async #follow(path: string, name: string): Promise<string | undefined> {
    const target = await realpath(path).catch(() => undefined); // nothing there, or a circle
    if (target === undefined) return this.#leave(name, 'a link that leads nowhere');
    const inside = relative(this.#top, target);
    const parts = inside.split(sep);
    if (parts[0] === '..') return this.#leave(name, `a link to ${target}, outside the project`);
    if (parts.some((part) => NEVER.has(part))) return this.#leave(name, `a link to ${inside}, which is never packed`);
    return target;
  }

  /** What the file system says; undefined, with a warning, when it says nothing, as of a file that has gone meanwhile. */
  async #look<T>(name: string, looking: Promise<T>): Promise<T | undefined> {
    try {
      return await looking;
    } catch (cause) {
      // Node has put U+FFFD for the bytes that are no UTF-8, and finds no such file: that one has not gone.
      if (!name.includes('\ufffd')) return this.#leave(name, notReadable(cause));
      throw new PackError(
        `${JSON.stringify(name)} has a name that is not UTF-8`,
        'Give it a name in UTF-8, or take it out of the folder.',
        {
          cause,
        },
      );
    }
  }

  #leave(name: string, why: string): undefined {
    this.warnings.push(leftOut(name, why));
  }
}

export function leftOut(name: string, why: string): string {
  return `${name} is left out: it is ${why}.`;
}

/** Why a file is left out that the file system did not give, to follow "it is". */
export function notReadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  if (code === 'ENOENT') return 'gone';
  return `not readable (${code ?? String(error)})`;
}

async function scopeOf(folder: string, name: string, names: readonly string[]): Promise<Scope[]> {
  const present = IGNORE_FILES.filter((file) => names.includes(file));
  if (present.length === 0) return [];
  const rules = ignore();
  for (const file of present) rules.add(await readFile(join(folder, file), 'utf8'));
  return [{ folder: name, rules }];
}

/** The innermost folder whose rules say anything decides, as in git. */
function isIgnored(name: string, scopes: readonly Scope[]): boolean {
  for (const { folder, rules } of [...scopes].reverse()) {
    const { ignored, unignored } = rules.test(folder === '' ? name : name.slice(folder.length + 1));
    if (ignored || unignored) return ignored;
  }
  return false;
}
