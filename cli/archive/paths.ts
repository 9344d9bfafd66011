import { relative, sep } from 'node:path';

/** How git sees a file. */
export type Belongs = 'tracked' | 'untracked' | 'ignored';

/** Never part of a project's code, unless git tracks it. */
export const NEVER = new Set(['__pycache__', 'node_modules', 'runctl-runs', '.pulling']);
/** Never part of a project's code at all. */
export const PRIVATE = new Set(['.git', '.runctl']);
/** The file that marks a folder as a virtual environment. */
export const VENV_MARK = 'pyvenv.cfg';

/** A path below a folder with `/` between its parts, as git writes it. */
export function pathBelow(folder: string, path: string): string {
  return relative(folder, path).split(sep).join('/');
}
