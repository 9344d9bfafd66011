import { lstatSync, type Stats } from 'node:fs';
import { lstat, realpath, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { SPEC_FILE } from '../../core/spec/archive-spec.ts';
import { OWN_IGNORE_FILE, readScope, type Scope, verdict } from './ignore-rules.ts';
import { PackError } from './pack-error.ts';
import { type Belongs, NEVER, PRIVATE, pathBelow, VENV_MARK } from './paths.ts';
import { readPulled } from './pulled.ts';
import type { ScanCounter } from './scan.ts';
import { isSecretName } from './secrets.ts';
import type { Child, Source } from './sources.ts';

/** Between them signals and the progress have their turn. */
const VISITS_IN_A_ROW = 256;

export interface ProjectFile {
  /** Path in the archive, `/` between its parts. */
  readonly name: string;
  /** The path that is read; links are resolved. */
  readonly path: string;
  readonly bytes: number;
  readonly executable: boolean;
  /** git tracks it. */
  readonly tracked: boolean;
  /** Differs when the content may differ: size, times and inode. */
  readonly stamp: string;
  /** When content or attributes last changed, in ms since the epoch, by the file system. */
  readonly changedAt: number;
}

export interface WalkOptions {
  readonly includeSecrets: boolean;
  /** Whether a file matches the run's outputs. */
  readonly isOutput: (name: string) => boolean;
  readonly scan: ScanCounter;
  /** The only name at the top to pack; null: all. */
  readonly only: string | null;
}

/** What holds for all that is in a folder. */
interface Inherited {
  readonly belongs: Belongs;
  readonly scopes: readonly Scope[];
  /** Real paths of the parent folders: following a link to one of them would never end. */
  readonly above: readonly string[];
  /** A rule with `!` includes the folder, whatever git ignores in it. */
  readonly isIncluded: boolean;
  readonly onlyTracked: boolean;
  /** What `runctl pull` wrote, by path in the archive. */
  readonly pulled: ReadonlySet<string>;
  /** `runctl pull` wrote more into the folder than its manifest lists. */
  readonly isPulled: boolean;
}

/** Collects the files of a project, from what a source lists and what `.runctlignore` says of it. */
export class Walk {
  readonly files: ProjectFile[] = [];
  readonly warnings: string[] = [];
  readonly secrets: string[] = [];
  /** Untracked files that match the run's outputs. */
  readonly outputs: string[] = [];
  /** Untracked files that `runctl pull` wrote. */
  readonly pulled: string[] = [];
  /** Tracked paths that are packed: files, and links whose target is. */
  readonly packedPaths = new Set<string>();
  ignored = 0;
  /** Rules of which some include what git ignores. */
  readonly exceptions: Scope[] = [];
  readonly #top: string;
  readonly #source: Source;
  readonly #options: WalkOptions;
  #visited = 0;

  /** @param top real path */
  constructor(top: string, source: Source, options: WalkOptions) {
    this.#top = top;
    this.#source = source;
    this.#options = options;
  }

  async run(): Promise<void> {
    const nothing = { isIncluded: false, onlyTracked: false, isPulled: false, pulled: new Set<string>() };
    await this.#enter(this.#top, '', { belongs: 'untracked', scopes: [], above: [], ...nothing });
    this.files.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @param folder real path */
  async #enter(folder: string, name: string, outer: Inherited): Promise<void> {
    const { only } = this.#options;
    const all = await this.#read(name, this.#source.children(folder, name, outer.belongs));
    if (all === undefined) return;
    const children = name === '' && only !== null ? all.filter((child) => child.name === only) : all;
    const own = await readScope(join(folder, OWN_IGNORE_FILE), name, this.#source);
    if (own?.hasExceptions === true) this.exceptions.push(own);
    const names = new Set(children.map((child) => child.name));
    const pulled = await readPulled(folder, name);
    const isVenv = name !== '' && names.has(VENV_MARK);
    const inherited: Inherited = {
      ...outer,
      scopes: own === null ? outer.scopes : [...outer.scopes, own],
      above: [...outer.above, folder],
      onlyTracked: outer.onlyTracked || isVenv,
      isPulled: outer.isPulled || (name !== '' && pulled?.isComplete === false),
      pulled: pulled === null ? outer.pulled : new Set([...outer.pulled, ...pulled.names]),
    };
    for (const child of [...children].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      // join would look at each character of the folder again.
      const path = folder.endsWith(sep) ? `${folder}${child.name}` : `${folder}${sep}${child.name}`;
      await this.#visit(path, name === '' ? child.name : `${name}/${child.name}`, child, inherited);
    }
    // The plan is made with it, so the run must have it, too.
    if (
      name === '' &&
      only === null &&
      !names.has(SPEC_FILE) &&
      (await lstat(join(folder, SPEC_FILE)).catch(() => null))
    )
      await this.#visit(join(folder, SPEC_FILE), SPEC_FILE, { name: SPEC_FILE, belongs: 'untracked' }, inherited);
  }

  async #visit(path: string, name: string, child: Child, inherited: Inherited): Promise<void> {
    if (PRIVATE.has(child.name)) return;
    const onlyTracked = inherited.onlyTracked || NEVER.has(child.name);
    if (onlyTracked && !this.#source.mayTrack) return;
    this.#visited += 1;
    if (this.#visited % VISITS_IN_A_ROW === 0) await setImmediate();
    // An answer of the file system takes less time than waiting for it.
    const own = await this.#read(name, new Promise<Stats>((resolve) => resolve(lstatSync(path))));
    if (own === undefined) return;
    const isLink = own.isSymbolicLink();
    const rule = this.#ruleFor(name, own, inherited);
    const isIncluded = inherited.isIncluded || rule === 'included';
    const isIgnored = child.belongs === 'ignored' && !isIncluded;
    if (rule === 'excluded' || (isIgnored && !(own.isDirectory() && mayInclude(inherited)))) {
      this.ignored += 1;
      return;
    }
    const target = isLink ? await this.#follow(path, name) : path;
    const info = isLink && target !== undefined ? await this.#read(name, stat(target)) : own;
    if (target === undefined || info === undefined) return;
    if (!info.isDirectory()) {
      this.#addFile({ name, path, target, info }, child.belongs, { ...inherited, onlyTracked });
    } else if (isLink && inherited.above.includes(target)) {
      this.#skip(name, 'a link to a folder that contains it');
    } else {
      if (isLink && child.belongs === 'tracked') this.packedPaths.add(pathBelow(this.#top, path));
      await this.#enter(target, name, { ...inherited, belongs: child.belongs, isIncluded, onlyTracked });
    }
  }

  /** A link may be meant as the folder that it leads to. */
  #ruleFor(name: string, info: Stats, { scopes }: Inherited): ReturnType<typeof verdict> {
    if (name === SPEC_FILE) return 'included';
    const asFile = info.isDirectory() ? null : verdict(name, scopes);
    const isFolder = info.isDirectory() || (info.isSymbolicLink() && asFile === null);
    return isFolder ? verdict(`${name}/`, scopes) : asFile;
  }

  #addFile(
    { name, path, target, info }: { name: string; path: string; target: string; info: Stats },
    belongs: Belongs,
    { onlyTracked, pulled, isPulled }: Inherited,
  ): void {
    const tracked = belongs === 'tracked';
    if (!info.isFile()) {
      this.#skip(name, 'neither a file nor a folder');
      return;
    }
    if (!tracked) {
      if (onlyTracked) return;
      if (isPulled || pulled.has(name)) {
        this.pulled.push(name);
        return;
      }
      if (name !== SPEC_FILE && this.#options.isOutput(name)) {
        this.outputs.push(name);
        return;
      }
    }
    if (!this.#options.includeSecrets && (isSecretName(name) || (target !== path && isSecretName(target)))) {
      this.secrets.push(name);
      return;
    }
    this.#options.scan.addBytes(name, info.size);
    const { size, mode, mtimeMs, ctimeMs, ino, dev } = info;
    this.files.push({
      name,
      path: target,
      bytes: size,
      executable: (mode & 0o100) !== 0,
      tracked,
      stamp: `${size} ${mtimeMs} ${ctimeMs} ${ino} ${dev}`,
      changedAt: Math.max(mtimeMs, ctimeMs),
    });
    if (tracked) this.packedPaths.add(pathBelow(this.#top, path));
  }

  /** The target of a link inside the project; undefined, with a warning, for any other link. */
  async #follow(path: string, name: string): Promise<string | undefined> {
    const target = await realpath(path).catch(() => undefined); // the target does not exist, or the links form a cycle
    if (target === undefined) return this.#skip(name, 'a broken link');
    const inside = relative(this.#top, target);
    const parts = inside.split(sep);
    if (parts[0] === '..') return this.#skip(name, `a link to ${target}, outside the project`);
    if (parts.some((part) => PRIVATE.has(part) || NEVER.has(part)))
      return this.#skip(name, `a link to ${inside}, which is never packed`);
    if (!this.#source.has(target)) return this.#skip(name, `a link to ${inside}, which git does not list`);
    return target;
  }

  /** Reads from the file system; undefined, with a warning, when that fails, for example for a file deleted meanwhile. */
  async #read<T>(name: string, reading: Promise<T>): Promise<T | undefined> {
    try {
      return await reading;
    } catch (cause) {
      if (cause instanceof PackError) throw cause;
      // Node replaces bytes that are not UTF-8 by U+FFFD and then does not find the file, which still exists.
      if (name.includes('\ufffd'))
        throw new PackError(
          `The name of ${JSON.stringify(name)} is not UTF-8.`,
          'Rename the file, or move it out of the project folder.',
          { cause },
        );
      // A tracked file that was deleted is a change of the work tree, which git reports.
      if (!this.#source.mayTrack || !isNotFound(cause)) this.#skip(name, notReadable(cause));
      return undefined;
    }
  }

  #skip(name: string, why: string): undefined {
    this.warnings.push(leftOut(name, why));
  }
}

/** An ignored folder may hold something that a rule with `!` includes. */
function mayInclude({ scopes }: Inherited): boolean {
  return scopes.some(({ hasExceptions }) => hasExceptions);
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

function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
