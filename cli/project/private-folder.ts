import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Holds what the command keeps for a project on this machine. It is never packed. */
export const PRIVATE_FOLDER = '.runctl';

/** Writes a file of the project's private folder, which git then ignores. */
export async function writePrivate(folder: string, name: string, text: string): Promise<void> {
  const top = join(folder, PRIVATE_FOLDER);
  const file = join(top, name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(join(top, '.gitignore'), '*\n', { flag: 'wx' }).catch(ignoreExisting);
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, text);
  await rename(draft, file);
}

/** The text of a file of the private folder, or null. */
export async function readPrivate(folder: string, name: string): Promise<string | null> {
  try {
    return await readFile(join(folder, PRIVATE_FOLDER, name), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null;
    throw error;
  }
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
}
