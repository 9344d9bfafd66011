import { dirname, isAbsolute, join, normalize, sep } from 'node:path';
import { type ReadEntry, x } from 'tar';

const KINDS = ['File', 'OldFile', 'Directory', 'SymbolicLink'];

/**
 * Unpacks an outputs.tar.gz into an empty folder. Nothing lands outside it: names that lead out, hard links, devices and links
 * whose target is outside are left out.
 * @returns what was left out, a sentence each
 */
export async function unpackOutputs(archive: string, folder: string): Promise<string[]> {
  const leftOut: string[] = [];
  await x({
    file: archive,
    cwd: folder,
    strict: true,
    preserveOwner: false,
    filter: (path, entry) => {
      const why = objection(path, entry as ReadEntry);
      if (why !== null) leftOut.push(`${JSON.stringify(path)} was left out: ${why}`);
      return why === null;
    },
  });
  return leftOut;
}

/** Why an entry is not unpacked; null: nothing speaks against it. */
function objection(path: string, { type, linkpath }: ReadEntry): string | null {
  if (!KINDS.includes(type)) return `it is a ${type}`;
  if (leadsOut(path)) return 'its name leads out of the folder';
  const target = linkpath ?? '';
  const strays = isAbsolute(target) || leadsOut(join(dirname(path), target));
  return type === 'SymbolicLink' && strays ? 'its target is outside the folder' : null;
}

export function leadsOut(path: string): boolean {
  const clean = normalize(path);
  return isAbsolute(path) || clean === '..' || clean.startsWith(`..${sep}`);
}
