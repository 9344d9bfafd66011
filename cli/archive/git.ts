import { execFile } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import { relative, sep } from 'node:path';
import { promisify } from 'node:util';
import type { GitState } from '../../core/archive/git-state.ts';
import type { ProjectFile } from './pack-list.ts';

const run = promisify(execFile);
/** Enough for the names of a hundred thousand files. */
const OUTPUT_BYTES = 64 * 1024 * 1024;

/**
 * The commit of a project folder, and whether its files differ from that commit. null when git does not track them:
 * there is no repository, no commit yet, or no git on this machine.
 */
export async function readGit(folder: string, files: readonly ProjectFile[]): Promise<GitState | null> {
  const top = await realpath(folder);
  const answers = await Promise.all([
    git(top, ['status', '--porcelain=v2', '--branch', '--untracked-files=no', '--', '.']),
    git(top, ['ls-files', '-z', '--recurse-submodules', '--', '.']),
  ]);
  const [status, listed] = answers;
  if (status === null || listed === null) return null;
  const lines = status.split('\n');
  const commit = lines.find((line) => line.startsWith('# branch.oid '))?.slice('# branch.oid '.length) ?? '';
  const tracked = new Set(listed.split('\0'));
  const names = files.map(({ path }) => relative(top, path).split(sep).join('/'));
  // A folder inside a repository that does not track it has no commit of its own.
  if (!/^[0-9a-f]+$/.test(commit) || !names.some((name) => tracked.has(name))) return null;
  const changed = lines.some((line) => line !== '' && !line.startsWith('#'));
  return { commit, dirty: changed || names.some((name) => !tracked.has(name)) };
}

async function git(folder: string, args: readonly string[]): Promise<string | null> {
  try {
    // Reading the state must not take the index lock from another git process.
    const env = { ...process.env, GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' };
    const { stdout } = await run('git', ['-C', folder, ...args], { env, maxBuffer: OUTPUT_BYTES });
    return stdout;
  } catch (error) {
    if (isNoRepository(error)) return null;
    throw error;
  }
}

/** git is not installed, the folder is not in a repository, or git refuses another user's repository. */
function isNoRepository(error: unknown): boolean {
  const { code, stderr } = error as { code?: unknown; stderr?: unknown };
  return code === 'ENOENT' || /not a git repository|dubious ownership/.test(String(stderr));
}
