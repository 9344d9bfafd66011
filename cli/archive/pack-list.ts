import { lstat, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import ignore, { type Ignore } from 'ignore';
import { PackError } from './pack-error.ts';
import { isSecretName } from './secrets.ts';

export interface ProjectFile {
  /** Path in the archive, `/` between its parts. */
  readonly name: string;
  /** The path that is read; links are resolved. */
  readonly path: string;
  readonly bytes: number;
  readonly executable: boolean;
}

/** Later files override earlier ones: `!name` in .runctlignore includes again what .gitignore excludes. */
const IGNORE_FILES = ['.gitignore', '.runctlignore'];
/** Never part of a project's code, whatever the ignore files say. */
const NEVER = new Set(['.git', '__pycache__', 'node_modules', '.runctl', 'runctl-runs']);
/** The file that marks a folder as a virtual environment. */
const VENV_MARK = 'pyvenv.cfg';

/** The ignore rules of one folder, for the paths below it. */
interface Scope {
  /** Path in the archive of the folder, '' for the top. */
  readonly folder: string;
  readonly rules: Ignore;
}

/** The files of a project folder. */
export interface Listing {
  /** Sorted by the code units of their names, not by locale: the order must be the same on every machine. */
  readonly files: readonly ProjectFile[];
  /** Not packed because they look like secrets. */
  readonly secrets: readonly string[];
  /** What else is not packed although no ignore file excludes it, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Lists the files of a project: all that `.gitignore` and `.runctlignore` do not exclude, without `.git`, virtual
 * environments, `__pycache__`, `node_modules` and `.runctl`, and without secrets unless `includeSecrets` is set. Links to
 * targets inside the folder are followed. Other links, sockets, devices and unreadable files are skipped with a warning.
 * Empty folders are not listed.
 * @throws PackError when no file remains, or the folder does not exist
 */
export async function listFiles(folder: string, options: { includeSecrets?: boolean } = {}): Promise<Listing> {
  const top = await realpath(folder).catch((cause: unknown) => {
    throw new PackError(`The folder ${folder} does not exist.`, 'Give the path of the project folder.', { cause });
  });
  if (!(await stat(top)).isDirectory())
    throw new PackError(`${folder} is a file, not a folder.`, 'Give the path of the project folder.');
  const walk = new Walk(top, options.includeSecrets === true);
  await walk.enter(top, '', [], []);
  if (walk.files.length === 0) throw nothingToPack(folder, walk.ignored);
  walk.files.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { files: walk.files, secrets: walk.secrets, warnings: walk.warnings };
}

export function nothingToPack(folder: string, ignored = 0): PackError {
  return new PackError(
    `There is nothing to pack in ${folder}${ignored > 0 ? `: the ignore files exclude all ${ignored} entries` : ''}.`,
    'Give the folder that contains the training script, or correct its .gitignore or .runctlignore.',
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

  /** @param above real paths of the parent folders: following a link to one of them would never end */
  async enter(folder: string, name: string, outer: readonly Scope[], above: readonly string[]): Promise<void> {
    const names = (await this.#read(name, readdir(folder)))?.sort();
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
    const link = (await this.#read(name, lstat(path)))?.isSymbolicLink();
    if (link === undefined) return;
    const target = link ? await this.#follow(path, name) : path;
    if (target === undefined) return;
    const info = await this.#read(name, stat(target));
    if (info === undefined) return;
    if (isIgnored(info.isDirectory() ? `${name}/` : name, scopes)) {
      this.ignored += 1;
      return;
    }
    if (info.isDirectory()) {
      if (link && above.includes(target)) return this.#skip(name, 'a link to a folder that contains it');
      await this.enter(target, name, scopes, above);
    } else if (info.isFile() && !this.#includeSecrets && isSecretName(name)) {
      this.secrets.push(name);
    } else if (info.isFile()) {
      this.files.push({ name, path: target, bytes: info.size, executable: (info.mode & 0o100) !== 0 });
    } else this.#skip(name, 'neither a file nor a folder');
  }

  /** The target of a link inside the project; undefined, with a warning, for any other link. */
  async #follow(path: string, name: string): Promise<string | undefined> {
    const target = await realpath(path).catch(() => undefined); // the target does not exist, or the links form a cycle
    if (target === undefined) return this.#skip(name, 'a broken link');
    const inside = relative(this.#top, target);
    const parts = inside.split(sep);
    if (parts[0] === '..') return this.#skip(name, `a link to ${target}, outside the project`);
    if (parts.some((part) => NEVER.has(part))) return this.#skip(name, `a link to ${inside}, which is never packed`);
    return target;
  }

  /** Reads from the file system; undefined, with a warning, when that fails, for example for a file deleted meanwhile. */
  async #read<T>(name: string, reading: Promise<T>): Promise<T | undefined> {
    try {
      return await reading;
    } catch (cause) {
      // Node replaces bytes that are not UTF-8 by U+FFFD and then does not find the file, which still exists.
      if (!name.includes('\ufffd')) return this.#skip(name, notReadable(cause));
      throw new PackError(
        `The name of ${JSON.stringify(name)} is not UTF-8.`,
        'Rename the file, or move it out of the project folder.',
        {
          cause,
        },
      );
    }
  }

  #skip(name: string, why: string): undefined {
    this.warnings.push(leftOut(name, why));
  }
}

export function leftOut(name: string, why: string): string {
  return `${name} was not packed: it is ${why}.`;
}

/** Why the file system did not return a file, to follow "it is". */
export function notReadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  if (code === 'ENOENT') return 'no longer there';
  return `not readable (${code ?? String(error)})`;
}

async function scopeOf(folder: string, name: string, names: readonly string[]): Promise<Scope[]> {
  const present = IGNORE_FILES.filter((file) => names.includes(file));
  if (present.length === 0) return [];
  const rules = ignore();
  for (const file of present) rules.add(await readFile(join(folder, file), 'utf8'));
  return [{ folder: name, rules }];
}

/** The innermost folder with a matching rule decides, as in git. */
function isIgnored(name: string, scopes: readonly Scope[]): boolean {
  for (const { folder, rules } of [...scopes].reverse()) {
    const { ignored, unignored } = rules.test(folder === '' ? name : name.slice(folder.length + 1));
    if (ignored || unignored) return ignored;
  }
  return false;
}
