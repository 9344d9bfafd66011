import { randomBytes } from 'node:crypto';
import { basename } from 'node:path';
import type { ArchiveSource } from '../../core/archive/note.ts';
import { readPrivate, writePrivate } from '../project/private-folder.ts';
import { GitError, git } from './git.ts';
import type { Listing } from './pack-list.ts';
import { pathBelow } from './paths.ts';

/** In the project's private folder: the id of a folder whose repository has no remote, or that has no repository. */
const ID_FILE = 'source.json';
const ID = /^[0-9a-f]{16}$/;
const MAX_CHARACTERS = 300;

/**
 * Names where a project's code comes from: the remote of its repository and the path in it, which all clones share; else
 * an id that is kept in the folder.
 * @param folder real path
 * @returns null where the folder cannot keep an id: its archives are synced without a check then
 */
export async function findSource(
  folder: string,
  { repository }: Pick<Listing, 'repository'>,
): Promise<ArchiveSource | null> {
  const remote = repository === null ? null : await findRemote(folder);
  if (repository !== null && remote !== null) {
    const path = pathBelow(repository, folder);
    const name = (path === '' ? remote : `${remote}, folder ${path}`).slice(0, MAX_CHARACTERS);
    return { id: name, label: name };
  }
  const id = await findId(folder);
  return id === null ? null : { id, label: `folder ${basename(folder).slice(0, 100)} (id ${id.slice(0, 8)})` };
}

/** The remote `origin`, or the only one. */
async function findRemote(folder: string): Promise<string | null> {
  const lines = async (...args: string[]) => (await git(folder, args)).toString('utf8').split('\n').filter(Boolean);
  try {
    const names = await lines('remote');
    const name = names.includes('origin') ? 'origin' : names.length === 1 ? names[0] : undefined;
    const [url] = name === undefined ? [] : await lines('remote', 'get-url', name);
    return url === undefined ? null : normalizeRemote(url);
  } catch (error) {
    if (error instanceof GitError) return null;
    throw error;
  }
}

/** Host and path: the same for https and ssh, and without a password. A path on this machine stays as it is. */
export function normalizeRemote(url: string): string | null {
  const [, host = '', path = ''] =
    /^[a-z][a-z0-9+.-]*:\/\/(?:[^@/]*@)?([^/:]*)(?::\d*)?\/(.*)$/is.exec(url) ??
    /^(?:[^@/:]+@)?([^/:]+):(?!:|\/\/)(.*)$/s.exec(url) ??
    [];
  const name = host === '' ? path || url : `${host.toLowerCase()}/${path}`;
  const trimmed = name.replace(/\/+$/, '').replace(/\.git$/, '');
  return trimmed === '' ? null : trimmed;
}

async function findId(folder: string): Promise<string | null> {
  try {
    const text = await readPrivate(folder, ID_FILE);
    const { id } = JSON.parse(text ?? '{}') as { id?: unknown };
    if (typeof id === 'string' && ID.test(id)) return id;
    const created = randomBytes(8).toString('hex');
    await writePrivate(folder, ID_FILE, `${JSON.stringify({ id: created })}\n`);
    return created;
  } catch {
    return null;
  }
}
