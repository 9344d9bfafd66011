import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, readdir, readlink, realpath, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { usageError } from '../errors.ts';

const SHOWN = 5;

/** Every file and link below a folder, as paths relative to it. */
export async function filesBelow(folder: string, under = ''): Promise<string[]> {
  const entries = await readdir(join(folder, under), { withFileTypes: true });
  const found = await Promise.all(
    entries.map(async (entry) => {
      const path = join(under, entry.name);
      return entry.isDirectory() ? await filesBelow(folder, path) : [path];
    }),
  );
  return found.flat().sort();
}

/**
 * Moves files into a folder: all of them or, when one would overwrite another file, none.
 * @param from the present path of each file, by its path in the folder
 * @param mayOverwrite whether the file at `target` may be replaced by one of other content
 * @returns the names that existed with the same content, and those that were overwritten
 * @throws CliError that names the files in conflict
 */
export async function placeFiles(
  from: ReadonlyMap<string, string>,
  folder: string,
  mayOverwrite: (name: string, target: string) => boolean | Promise<boolean>,
): Promise<{ same: string[]; overwritten: string[] }> {
  const same: string[] = [];
  const different: string[] = [];
  const kept: string[] = [];
  const top = await realpath(folder);
  for (const [name, file] of from) {
    const target = join(folder, name);
    await refuseStrayParent(top, target);
    const found = await lstat(target).catch(() => null);
    if (found?.isDirectory()) throw inTheWay([name], 'folders of these names exist');
    if (!found) continue;
    if (await isSame(file, target)) same.push(name);
    else (await mayOverwrite(name, target)) ? different.push(name) : kept.push(name);
  }
  if (kept.length > 0) throw inTheWay(kept, 'these files already exist with different content');
  for (const [name, file] of from) {
    if (same.includes(name)) continue;
    const target = join(folder, name);
    await mkdir(dirname(target), { recursive: true });
    await rename(file, target);
  }
  return { same, overwritten: different };
}

/** Refuses to write through a link to a place outside the folder. */
async function refuseStrayParent(top: string, target: string): Promise<void> {
  let parent = dirname(target);
  let real = await realpath(parent).catch(() => null);
  while (real === null) {
    parent = dirname(parent);
    real = await realpath(parent).catch(() => null);
  }
  if (real === top || real.startsWith(`${top}${sep}`)) return;
  throw usageError(
    `${parent} is a link to a folder outside ${top}.`,
    'Remove the link, or choose another folder with --to.',
  );
}

function inTheWay(names: readonly string[], why: string) {
  const more = names.length > SHOWN ? `\n  … and ${names.length - SHOWN} more` : '';
  const list = names
    .slice(0, SHOWN)
    .map((name) => `\n  ${name}`)
    .join('');
  return usageError(
    `Nothing was written, because ${why}:${list}${more}`,
    'Overwrite files with --force, or choose another folder with --to.',
  );
}

async function isSame(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([lstat(a), lstat(b)]);
  if (one.isSymbolicLink() || other.isSymbolicLink()) {
    return one.isSymbolicLink() && other.isSymbolicLink() && (await readlink(a)) === (await readlink(b));
  }
  return one.size === other.size && (await digestOf(a)) === (await digestOf(b));
}

/** Hex SHA-256. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}

/** Removes a folder and those above it, up to `created`, as long as they are empty. @param created undefined: none */
export async function removeEmptyFolders(folder: string, created: string | undefined): Promise<void> {
  for (let at = folder; created !== undefined && at.startsWith(created); at = dirname(at)) {
    const isRemoved = await rmdir(at).then(
      () => true,
      () => false,
    );
    if (!isRemoved) return;
  }
}
