import { lstat, mkdir, readlink, realpath, rm, symlink } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize, sep } from 'node:path';
import { type ReadEntry, x } from 'tar';
import { setUpError } from '../errors.ts';
import { filesBelow } from './place-files.ts';

const KINDS: readonly string[] = ['File', 'OldFile', 'Directory', 'SymbolicLink'];
const OTHER_KINDS: Readonly<Record<string, string>> = {
  Link: 'a hard link',
  FIFO: 'a FIFO',
  CharacterDevice: 'a device',
  BlockDevice: 'a device',
};
/** As many as Linux follows. */
const MAX_LINKS = 40;

/**
 * Unpacks an outputs.tar.gz into an empty folder. Nothing is written outside it, and no link is left that leads outside.
 * @param maxBytes what the files may have together: the disk's free space
 * @returns what was not unpacked, a sentence each
 * @throws CliError when the files have more bytes; the rest is not unpacked then
 */
export async function unpackOutputs(archive: string, folder: string, maxBytes: number): Promise<string[]> {
  const skipped: string[] = [];
  const links = new Map<string, string>();
  let bytes = 0;
  const unpacking = x({
    file: archive,
    cwd: folder,
    strict: true,
    preserveOwner: false,
    // Links come after the files, so that no file can be written through one.
    filter: (path, entry) => {
      const { type, linkpath = '', size } = entry as ReadEntry;
      const why = objection(path, type);
      if (why !== null) skipped.push(notUnpacked(path, why));
      else if (type === 'SymbolicLink') links.set(normalize(path), linkpath);
      else bytes += size;
      return why === null && type !== 'SymbolicLink' && bytes <= maxBytes;
    },
  });
  await unpacking.catch((cause: Error) => {
    throw setUpError(`The outputs cannot be unpacked: ${cause.message}`, 'Download them packed: --no-unpack', {
      cause,
    });
  });
  if (bytes > maxBytes)
    throw setUpError(
      'Unpacked, the outputs have more bytes than the disk has free.',
      'Free space, choose another folder with --to, or keep the archive packed with --no-unpack.',
    );
  return [...skipped, ...(await placeLinks(await realpath(folder), links))];
}

function notUnpacked(path: string, why: string): string {
  return `${JSON.stringify(path)} was not unpacked: ${why}`;
}

/** Why an entry is not unpacked; null: it is. */
function objection(path: string, type: string): string | null {
  if (!KINDS.includes(type)) return `it is ${OTHER_KINDS[type] ?? `of the type ${type}`}`;
  const leadsOut = isAbsolute(path) || path.split('/').includes('..');
  return leadsOut ? 'its name leads out of the folder' : null;
}

/**
 * Creates the links, and removes those whose target is not in the folder. Where a link leads depends on the other links in
 * its path: `a -> ..` and `b -> a/../secret` each look harmless.
 */
async function placeLinks(top: string, links: ReadonlyMap<string, string>): Promise<string[]> {
  const skipped: string[] = [];
  for (const [path, target] of links) {
    const place = join(top, path);
    if (await isFolder(await nearest(dirname(place)))) await mkdir(dirname(place), { recursive: true });
    if (!(await isFolder(dirname(place))) || (await lstat(place).catch(() => null)))
      skipped.push(notUnpacked(path, 'another file or link has its place'));
    else await symlink(target, place);
  }
  const isLink = async (path: string) => (await lstat(join(top, path))).isSymbolicLink();
  for (let removed = -1; removed !== 0; ) {
    removed = 0;
    for (const path of await filesBelow(top)) {
      if (!(await isLink(path)) || (await leadsInside(top, path))) continue;
      // Another link may have led here: once more.
      removed += 1;
      await rm(join(top, path));
      skipped.push(notUnpacked(path, 'it is a link to a target that is not in the outputs'));
    }
  }
  return skipped;
}

/** The path itself, or the nearest one above it that exists: folders would be made below it. */
async function nearest(path: string): Promise<string> {
  const exists = await lstat(path).catch(() => null);
  return exists === null ? await nearest(dirname(path)) : path;
}

/** Not a link to one, nor below a link: what is written there is written here. */
async function isFolder(path: string): Promise<boolean> {
  const real = await realpath(path).catch(() => null);
  return real === path && (await lstat(path)).isDirectory();
}

/**
 * Whether a link leads to something in the folder without leaving it on the way: the folder's files are moved afterwards,
 * so a path that comes back in from outside would lead elsewhere.
 */
async function leadsInside(top: string, link: string): Promise<boolean> {
  const inside: string[] = [];
  const rest = link.split(sep);
  for (let followed = 0; rest.length > 0; ) {
    const part = rest.shift() ?? '';
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (inside.pop() === undefined) return false;
      continue;
    }
    const path = join(top, ...inside, part);
    const found = await lstat(path).catch(() => null);
    if (found === null) return false;
    if (!found.isSymbolicLink()) {
      if (rest.length > 0 && !found.isDirectory()) return false;
      inside.push(part);
      continue;
    }
    const target = await readlink(path);
    followed += 1;
    if (isAbsolute(target) || followed > MAX_LINKS) return false;
    rest.unshift(...target.split('/'));
  }
  return true;
}
