import { chooseScript, ScriptNotFound } from '../archive/choose-script.ts';
import { printable } from '../archive/printable.ts';
import type { Entry } from './entry.ts';

/**
 * Picks what a run starts. A command is not looked for in the archive: its program is found on the instance.
 * @param files names of the regular files, relative to the project
 * @param entry of the spec; all null: the only one of `train.py`, `main.py` at the top
 * @throws ScriptNotFound also for a module that the archive should have and has not
 */
export function chooseEntry(files: readonly string[], entry: Entry): Entry {
  if (entry.command !== null) return entry;
  if (entry.module === null) return { ...entry, ...chooseScript(files, entry.script) };
  checkModule(files, entry.module);
  return entry;
}

/** Where Python finds modules of a project: its folder, and `src/`. */
const ROOTS = ['', 'src/'];

/** A module whose first part is nowhere in the project is one of an installed package. */
function checkModule(files: readonly string[], module: string): void {
  const path = module.replaceAll('.', '/');
  const [top = ''] = path.split('/');
  const isTop = (file: string) => ROOTS.some((root) => file === `${root}${top}.py` || isPython(file, `${root}${top}/`));
  const candidates = files.filter(isTop);
  if (candidates.length === 0) return;
  const names = ROOTS.flatMap((root) => [`${root}${path}.py`, `${root}${path}/__main__.py`]);
  if (names.some((name) => files.includes(name))) return;
  const shown = candidates.slice(0, 10);
  throw new ScriptNotFound(
    `There is no module ${printable(module)} in the archive (${names.slice(0, 2).join(' or ')}, also in src/): correct the key module.`,
    shown,
    candidates.length,
  );
}

function isPython(file: string, folder: string): boolean {
  return file.startsWith(folder) && file.endsWith('.py');
}
