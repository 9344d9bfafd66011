import { realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { parse, sep } from 'node:path';
import { PackError } from './pack-error.ts';

/**
 * Refuses folders that hold far more than a project: the root, the person's home folder, and those that contain it.
 * @param folder real path
 * @throws PackError
 */
export async function refuseBroadFolder(folder: string, home = homedir()): Promise<void> {
  const realHome = await realpath(home).catch(() => home);
  const isRoot = folder === parse(folder).root;
  if (!isRoot && folder !== realHome && !realHome.startsWith(`${folder}${sep}`)) return;
  const what = isRoot
    ? 'the root of the file system'
    : folder === realHome
      ? 'your home folder'
      : 'a folder that contains your home folder';
  throw new PackError(
    `${folder} is ${what}, and runctl packs the whole folder that it runs in.`,
    'Change to the folder that holds the training script, or create one.',
  );
}
