import { findRemovals, needsPermission, type Removals } from '../../core/archive/removals.ts';
import { formatSize } from '../../core/units.ts';
import { type PackedCode, projectNames } from '../archive/code.ts';
import { usageError } from '../errors.ts';
import { PRIVATE_FOLDER, readPrivate, writePrivate } from '../project/private-folder.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** Where the code of a project is synced to. */
export interface SyncTarget {
  readonly instance: string;
  readonly project: string;
}

const recordName = ({ instance, project }: SyncTarget) => `synced/${instance}/${project}.json`;

/**
 * Records the files of a run, by name, so that the plan of the next one shows what its sync removes.
 * @returns a warning where the folder cannot be written
 */
export async function recordFiles(folder: string, target: SyncTarget, { files }: PackedCode): Promise<string | null> {
  const { names } = projectNames(files, []);
  const sizes = Object.fromEntries(names.map((name, index) => [name, files[index]?.bytes ?? 0]));
  try {
    await writePrivate(folder, recordName(target), JSON.stringify(sizes));
    return null;
  } catch (error) {
    return `The files of this run could not be recorded in ${PRIVATE_FOLDER}, so the next plan does not show what its sync removes: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/**
 * What the sync removes from the instance, as far as this folder's last run there shows it. null: there is no such run.
 * The instance counts again, with the files that it has.
 */
export async function planRemovals(folder: string, target: SyncTarget, code: PackedCode): Promise<Removals | null> {
  const text = await readPrivate(folder, recordName(target));
  const before = text === null ? null : parseSizes(text);
  if (before === null) return null;
  const { names, leftOut } = projectNames(code.files, code.leftOut);
  return findRemovals(before, names, leftOut);
}

function parseSizes(text: string): Record<string, number> | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
    return Object.fromEntries(Object.entries(value).filter(([, bytes]) => typeof bytes === 'number'));
  } catch {
    return null; // It was cut or edited, and is only an estimate.
  }
}

export function removalsText({ files, bytes }: Removals): string {
  return `${files} ${files === 1 ? 'file' : 'files'}, ${formatSize(bytes)}`;
}

/**
 * Asks before a sync removes much.
 * @returns whether it may; false: the person declined
 * @throws CliError where nobody can be asked
 */
export async function confirmRemovals(
  terminal: Pick<Terminal, 'isInteractive' | 'confirm'>,
  removals: Removals | null,
  { allowed, ask, signal }: { readonly allowed: boolean; readonly ask: boolean; readonly signal: AbortSignal },
): Promise<boolean> {
  if (removals === null || allowed || !needsPermission(removals)) return true;
  const what = removalsText(removals);
  if (ask && terminal.isInteractive)
    return await terminal.confirm(`The sync removes ${what} from the instance. Remove them?`, signal);
  throw usageError(
    `The sync would remove ${what} from the instance that this folder no longer has.`,
    'Check that the folder is complete. To remove the files: --allow-removals',
  );
}
