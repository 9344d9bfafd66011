import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { OWN_IGNORE_FILE, readScope, type Scope, verdict } from './ignore-rules.ts';
import { NEVER, VENV_MARK } from './paths.ts';
import type { PathFilter } from './work-tree.ts';

/**
 * Drops paths that a walk would leave out, while git lists them: a folder of a million images that `.runctlignore` names,
 * or an environment, must neither fill the memory nor count.
 * @param top real path of the project
 * @param exceptions rules of which some include what git ignores
 */
export async function pathFilter(
  top: string,
  options: { readonly ignoreCase: boolean },
  exceptions: readonly Scope[],
): Promise<PathFilter> {
  const own = await readScope(join(top, OWN_IGNORE_FILE), '', options);
  const scopes = own === null ? [] : [own];
  const isExcluded = anyParent((folder) => verdict(`${folder}/`, scopes) === 'excluded');
  const isNeverPacked = anyParent(
    (folder) => NEVER.has(folder.slice(folder.lastIndexOf('/') + 1)) || existsSync(join(top, folder, VENV_MARK)),
  );
  const isIncluded = exceptions.map((scope) => {
    const includes = (path: string) => verdict(path, [scope]) === 'included';
    const inFolder = anyParent((folder) => includes(`${folder}/`));
    return (path: string) => includes(path) || inFolder(path);
  });
  return (path, belongs) => {
    if (isExcluded(path)) return false;
    if (belongs === 'tracked') return true;
    return !isNeverPacked(path) && (belongs !== 'ignored' || isIncluded.some((includes) => includes(path)));
  };
}

/** Whether something is true of one of the folders that a path is in; asked once for each folder. */
function anyParent(isTrue: (folder: string) => boolean): (path: string) => boolean {
  const known = new Map<string, boolean>();
  const ask = (path: string): boolean => {
    const slash = path.lastIndexOf('/');
    if (slash <= 0) return false;
    const folder = path.slice(0, slash);
    const answer = known.get(folder) ?? (ask(folder) || isTrue(folder));
    known.set(folder, answer);
    return answer;
  };
  return ask;
}
