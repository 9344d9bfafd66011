import { constants } from 'node:fs';
import { copyFile, link, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Holds what the command keeps for a project on this machine. It is never packed. */
export const PRIVATE_FOLDER = '.runctl';

const TEMPORARY = 'tmp-';
/** No command packs for so long. */
const ABANDONED_MS = 24 * 3_600_000;

/** Where a file of the private folder is. */
export function privatePath(folder: string, name: string): string {
  return join(folder, PRIVATE_FOLDER, name);
}

/** Writes a file of the project's private folder, which git then ignores. */
export async function writePrivate(folder: string, name: string, text: string): Promise<void> {
  await replace(folder, name, (draft) => writeFile(draft, text));
}

/** The same with a file that exists: a link to it, or a copy. */
export async function linkPrivate(folder: string, name: string, from: string): Promise<void> {
  await replace(folder, name, async (draft) => {
    await rm(draft, { force: true });
    await link(from, draft).catch(() => copyFile(from, draft, constants.COPYFILE_FICLONE));
  });
}

/**
 * Passes a new folder to `use`, and removes it afterwards. It is in the private folder, where a file of it is kept without
 * a copy; where nothing can be written, it is where temporary files are.
 */
export async function withTemporary<T>(folder: string, use: (temporary: string) => Promise<T>): Promise<T> {
  const made = await makeTemporary(folder).catch(() => mkdtemp(join(tmpdir(), 'runctl-')));
  try {
    return await use(made);
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

async function makeTemporary(folder: string): Promise<string> {
  await makePrivate(folder);
  const top = privatePath(folder, '');
  for (const name of (await readdir(top)).filter((entry) => entry.startsWith(TEMPORARY))) {
    // Of a command that was killed.
    const { mtimeMs } = await stat(join(top, name));
    if (mtimeMs < Date.now() - ABANDONED_MS) await rm(join(top, name), { recursive: true, force: true });
  }
  return await mkdtemp(join(top, TEMPORARY));
}

/** The text of a file of the private folder, or null. */
export async function readPrivate(folder: string, name: string): Promise<string | null> {
  try {
    return await readFile(privatePath(folder, name), 'utf8');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

async function makePrivate(folder: string): Promise<void> {
  await mkdir(privatePath(folder, ''), { recursive: true });
  await writeFile(privatePath(folder, '.gitignore'), '*\n', { flag: 'wx' }).catch(ignoreExisting);
}

/** By rename, so that nobody reads half a file. */
async function replace(folder: string, name: string, write: (draft: string) => Promise<void>): Promise<void> {
  const file = privatePath(folder, name);
  const draft = `${file}.${process.pid}`;
  try {
    await write(draft).catch(async (error: unknown) => {
      if (!isMissing(error)) throw error;
      await makePrivate(folder);
      await mkdir(dirname(file), { recursive: true });
      await write(draft);
    });
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
}
