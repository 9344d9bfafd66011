import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GitError, git } from './git.ts';
import { PackError } from './pack-error.ts';

/** The folder is in a work tree, but git cannot be asked about it. */
export interface NoAnswer {
  /** The folder of the repository, as far as it can be known. */
  readonly top: string;
  readonly reason: string;
}

/** The folder of the repository that a folder is in. */
export async function findTop(folder: string): Promise<string | NoAnswer | null> {
  const top = await findDotGit(folder);
  if (top === null) return null; // git, which takes longer to ask, would find none either
  try {
    const output = await git(folder, ['rev-parse', '--show-toplevel']);
    return output.toString('utf8').replace(/\r?\n$/, '');
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    if (/must be run in a work tree/.test(error.message)) return null;
    if (error.isMissing) return { top, reason: 'git is not installed here' };
    if (/dubious ownership/.test(error.message)) throw foreignRepository(top, error);
    if (/not a git repository/.test(error.message))
      return { top, reason: `git does not find the repository of ${top}` };
    throw unreadable(top, error);
  }
}

export function unreadable(top: string, cause: GitError): PackError {
  return new PackError(
    `git cannot read the repository ${top}: ${cause.message}`,
    'Correct the repository until `git status` works, and run the command again.',
    { cause },
  );
}

function foreignRepository(top: string, cause: Error): PackError {
  return new PackError(
    `The repository ${top} belongs to another user, so git does not say which files belong to it.`,
    `If you trust it: git config --global --add safe.directory '${top}'`,
    { cause },
  );
}

/** The nearest folder upwards that has a `.git`. */
async function findDotGit(folder: string): Promise<string | null> {
  for (let at = folder; ; at = dirname(at)) {
    if (await exists(join(at, '.git'))) return at;
    if (at === dirname(at)) return null;
  }
}

export async function isIgnored(folder: string): Promise<boolean> {
  return await succeeds(git(folder, ['check-ignore', '-q', '.']));
}

export async function isSet(folder: string, key: string): Promise<boolean> {
  const value = git(folder, ['config', '--type=bool', '--get', key]);
  return (await value.catch(() => Buffer.from('false'))).toString('latin1').trim() === 'true';
}

async function succeeds(running: Promise<unknown>): Promise<boolean> {
  return await running.then(
    () => true,
    () => false,
  );
}

export async function exists(path: string): Promise<boolean> {
  return await succeeds(lstat(path));
}
