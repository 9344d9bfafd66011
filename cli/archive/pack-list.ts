import { realpath, stat } from 'node:fs/promises';
import type { GitState } from '../../core/archive/git-state.ts';
import { refuseBroadFolder } from './broad-folder.ts';
import type { Scope } from './ignore-rules.ts';
import type { PackedFolder } from './left-out.ts';
import { PackError } from './pack-error.ts';
import { pathFilter } from './path-filter.ts';
import { ScanCounter } from './scan.ts';
import { FolderSource, GitSource, scopesAbove } from './sources.ts';
import { type ProjectFile, Walk, type WalkOptions } from './walk.ts';
import { leftOutNote, shorten } from './warnings.ts';
import { readWorkTree, type WorkTree, type WorkTreeOptions } from './work-tree.ts';

export type { ProjectFile } from './walk.ts';

/** The commit of a folder, and how its archive differs from it. */
export interface Commit extends GitState {
  /** A few words each; empty when the archive has exactly the tracked files as the commit has them. */
  readonly differences: readonly string[];
}

/** The files of a project folder. */
export interface Listing {
  /** Sorted by the code units of their names, not by locale: the order must be the same on every machine. */
  readonly files: readonly ProjectFile[];
  /** Not packed because they look like secrets. */
  readonly secrets: readonly string[];
  /** What else is not packed although no ignore file excludes it, one sentence each. */
  readonly warnings: readonly string[];
  /** What is not packed because it is the result of a run, one sentence each. */
  readonly notes: readonly string[];
  /** Untracked files that match the run's outputs. */
  readonly outputs: readonly string[];
  /** The folders that were listed: the project, and those of the key `include`. */
  readonly folders: readonly PackedFolder[];
  /** null outside of repositories, before the first commit, and when git tracks none of the files. */
  readonly git: Commit | null;
  /** The folder of the repository, if git was asked. */
  readonly repository: string | null;
}

export interface ListOptions {
  readonly includeSecrets?: boolean;
  /** Whether a file matches the run's outputs. */
  readonly isOutput?: (name: string) => boolean;
  readonly scan?: ScanCounter;
  /** Lists this file of the folder alone. */
  readonly only?: string;
}

/**
 * Lists the files of a project. In a git work tree these are the tracked files and the untracked ones that git does not
 * ignore; elsewhere all that `.gitignore` files do not exclude. Then `.runctlignore` excludes files, or includes ignored
 * ones with `!`. Untracked files are left out when they are in a virtual environment, `__pycache__`, `node_modules` or
 * `runctl-runs`, match the run's outputs, or were written by `runctl pull`. Secrets are left out unless `includeSecrets` is set.
 * Links to targets inside the folder are followed. Other links, sockets, devices and unreadable files are skipped with a
 * warning. Empty folders are not listed.
 * @throws PackError when no file remains, the folder does not exist or is no project, or git refuses its repository
 */
export async function listFiles(folder: string, options: ListOptions = {}): Promise<Listing> {
  const top = await realpath(folder).catch((cause: unknown) => {
    throw new PackError(`The folder ${folder} does not exist.`, 'Give the path of the project folder.', { cause });
  });
  if (!(await stat(top)).isDirectory())
    throw new PackError(`${folder} is a file, not a folder.`, 'Give the path of the project folder.');
  if (options.only === undefined) await refuseBroadFolder(top);
  const scan = options.scan ?? new ScanCounter(folder);
  const walking: WalkOptions = {
    includeSecrets: options.includeSecrets === true,
    isOutput: options.isOutput ?? (() => false),
    scan,
    only: options.only ?? null,
  };
  const tree = await readWorkTree(top, treeOptions(top, walking));
  const [walk, git] =
    tree === null || 'reason' in tree
      ? [await walkFolder(top, walking, tree === null ? [] : await scopesAbove(tree.top, top)), null]
      : await walkTree(top, walking, tree);
  if (walk.files.length === 0)
    throw nothingToPack(folder, { ignored: walk.ignored, byGit: tree !== null && 'files' in tree });
  return {
    files: walk.files,
    secrets: walk.secrets,
    warnings: [...treeWarnings(tree), ...walk.warnings],
    notes: [
      ...leftOutNote(walk.outputs, 'as results of a run (key outputs)'),
      ...leftOutNote(walk.pulled, 'written by `runctl pull`'),
    ],
    outputs: walk.outputs,
    folders: [{ path: top, name: '' }],
    git,
    repository: tree !== null && 'files' in tree ? tree.top : null,
  };
}

function treeOptions(top: string, { scan, only }: WalkOptions, exceptions: readonly Scope[] = []): WorkTreeOptions {
  return {
    only,
    onFiles: (count) => scan.addNames(count),
    filterFor: (ignoreCase) => pathFilter(top, { ignoreCase }, exceptions),
  };
}

async function walkFolder(top: string, options: WalkOptions, outer: readonly Scope[]): Promise<Walk> {
  const walk = new Walk(top, new FolderSource(outer, options.scan), options);
  await walk.run();
  return walk;
}

async function walkTree(top: string, options: WalkOptions, tree: WorkTree): Promise<[Walk, Commit | null]> {
  let walk = new Walk(top, new GitSource(top, tree), options);
  await walk.run();
  if (walk.exceptions.length > 0) {
    // Ignored files may be many, and are of interest only here.
    options.scan.restart();
    const whole = await readWorkTree(top, { ...treeOptions(top, options, walk.exceptions), ignored: true });
    if (whole !== null && 'files' in whole) walk = new Walk(top, new GitSource(top, whole), options);
    await walk.run();
  }
  return [walk, commitOf(tree, walk)];
}

function commitOf(
  { commit, changed, files, absentSubmodules }: WorkTree,
  { files: packed, packedPaths }: Walk,
): Commit | null {
  const tracked = [...files].filter(([, belongs]) => belongs === 'tracked').map(([name]) => name);
  if (commit === null || tracked.length === 0) return null;
  const missing = tracked.filter((name) => !packedPaths.has(name)).length + absentSubmodules.length;
  const added = packed.filter((file) => !file.tracked).length;
  const differences = [
    ...(changed > 0 ? [`${changed} changed`] : []),
    ...(added > 0 ? [`${added} not tracked`] : []),
    ...(missing > 0 ? [`${missing} tracked but not packed`] : []),
  ];
  return { commit, dirty: differences.length > 0, differences };
}

function treeWarnings(tree: Awaited<ReturnType<typeof readWorkTree>>): string[] {
  if (tree === null) return [];
  if ('reason' in tree)
    return [
      `${tree.reason[0]?.toUpperCase()}${tree.reason.slice(1)}, so the run has no commit, tracked files that .gitignore matches are left out, and git's own configuration is not applied. To pack what git tracks, make \`git status\` work in this folder.`,
    ];
  const { absentSubmodules, linkedTrees, sparse } = tree;
  return [
    ...(absentSubmodules.length > 0
      ? [
          `The ${absentSubmodules.length === 1 ? 'submodule' : 'submodules'} ${shorten(absentSubmodules)} ${absentSubmodules.length === 1 ? 'is' : 'are'} not checked out, so no files of ${absentSubmodules.length === 1 ? 'it' : 'them'} are packed. To check out: git submodule update --init --recursive`,
        ]
      : []),
    ...linkedTrees.map((path) => `${path} was not packed: it is another work tree of a repository.`),
    ...(sparse > 0
      ? [
          `${sparse} tracked ${sparse === 1 ? 'file is' : 'files are'} outside of this sparse checkout, and not packed. To check out all: git sparse-checkout disable`,
        ]
      : []),
  ];
}

export function nothingToPack(
  folder: string,
  { ignored, byGit }: { readonly ignored: number; readonly byGit: boolean } = { ignored: 0, byGit: false },
): PackError {
  const excluded = ignored > 0 ? `: the ignore files exclude all ${ignored} entries` : '';
  return new PackError(
    `There is nothing to pack in ${folder}${excluded || (byGit ? ': it has no file that git does not ignore' : '')}.`,
    'Give the folder that contains the training script, or correct its .gitignore or .runctlignore.',
  );
}
