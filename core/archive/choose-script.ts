import { printable } from './printable.ts';

/** Looked for at the top of the project, when the spec names no script. */
export const DEFAULT_SCRIPTS = ['train.py', 'main.py'] as const;

/** How many candidates a message names. */
const SHOWN = 10;

/** There is no entry script, or no telling which one. `candidates`: Python files of the project, the likeliest first. */
export class ScriptNotFound extends Error {
  override readonly name = 'ScriptNotFound';
  readonly candidates: readonly string[];

  /** @param notebook named when there is no Python file */
  constructor(what: string, candidates: readonly string[], total: number, notebook?: string) {
    super(`${what} ${listing(candidates, total)}${notebook === undefined || total > 0 ? '' : ` ${convert(notebook)}`}`);
    this.candidates = candidates;
  }
}

/**
 * Picks the entry script.
 * @param files names of the regular files, relative to the project (the single top folder taken off).
 * @param wanted the spec's `script`, or null for the only one of `train.py`, `main.py` at the top.
 * @throws ScriptNotFound
 */
export function chooseScript(files: readonly string[], wanted: string | null): { script: string } {
  if (wanted !== null) return { script: findWanted(files, wanted) };
  const found = DEFAULT_SCRIPTS.filter((name) => files.includes(name));
  const [script] = found;
  if (script !== undefined && found.length === 1) return { script };
  throw notFound(
    found.length > 1
      ? `Both ${found.join(' and ')} are there: say which one to run with the key script.`
      : `There is neither ${DEFAULT_SCRIPTS.join(' nor ')} at the top: say what to run with the key script.`,
    files,
  );
}

function findWanted(files: readonly string[], wanted: string): string {
  const script = wanted
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
  if (files.includes(script)) return script;
  const elsewhere = nearestFirst(
    files.filter((file) => baseName(file).toLowerCase() === baseName(script).toLowerCase()),
  );
  const [nearest] = elsewhere;
  const hint =
    nearest === undefined
      ? 'say what to run with the key script.'
      : `did you mean ${printable(nearest)}? Say so with the key script.`;
  throw notFound(`There is no ${printable(wanted)} in the archive: ${hint}`, files, elsewhere);
}

function notFound(what: string, files: readonly string[], first: readonly string[] = []): ScriptNotFound {
  const all = [...new Set([...first.filter(isCandidate), ...nearestFirst(files.filter(isCandidate))])];
  const [notebook] = nearestFirst(files.filter((file) => file.endsWith('.ipynb')));
  return new ScriptNotFound(what, all.slice(0, SHOWN), all.length, notebook);
}

/** Python files that a person wrote: no packages of an environment, no metadata of a Mac. */
function isCandidate(file: string): boolean {
  if (!file.endsWith('.py')) return false;
  return !file.split('/').some((part) => part.startsWith('.') || part === 'site-packages' || part === 'node_modules');
}

function nearestFirst(files: readonly string[]): string[] {
  const depth = (file: string) => file.split('/').length;
  return [...files].sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1));
}

function baseName(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1);
}

function convert(notebook: string): string {
  return `To make one of a notebook: jupyter nbconvert --to script ${printable(notebook)}`;
}

function listing(candidates: readonly string[], total: number): string {
  if (total === 0) return 'The archive has no Python file.';
  const more = total > candidates.length ? `, and ${total - candidates.length} more` : '';
  return `Python files found: ${candidates.map(printable).join(', ')}${more}.`;
}
