import { constants } from 'node:fs';
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Holds what the command keeps for a project on this machine. It is never packed. */
export const PRIVATE_FOLDER = '.runctl';

/** Where a file of the private folder is. */
export function privatePath(folder: string, name: string): string {
  return join(folder, PRIVATE_FOLDER, name);
}

/** Writes a file of the project's private folder, which git then ignores. */
export async function writePrivate(folder: string, name: string, text: string): Promise<void> {
  await replace(folder, name, (draft) => writeFile(draft, text));
}

/** The same with a copy of a file; where the file system can, they share their blocks. */
export async function copyPrivate(folder: string, name: string, from: string): Promise<void> {
  await replace(folder, name, (draft) => copyFile(from, draft, constants.COPYFILE_FICLONE));
}

/** The text of a file of the private folder, or null. */
export async function readPrivate(folder: string, name: string): Promise<string | null> {
  try {
    return await readFile(privatePath(folder, name), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null;
    throw error;
  }
}

/** By rename, so that nobody reads half a file. */
async function replace(folder: string, name: string, write: (draft: string) => Promise<void>): Promise<void> {
  const file = privatePath(folder, name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(privatePath(folder, '.gitignore'), '*\n', { flag: 'wx' }).catch(ignoreExisting);
  const draft = `${file}.${process.pid}`;
  try {
    await write(draft);
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
}
