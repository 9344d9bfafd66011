import { parse as parseToml } from 'smol-toml';
import { PACKAGE_FILE } from './package-file.ts';

export const DEFAULT_REQUIREMENTS = 'requirements.txt';
const UV_LOCK = 'uv.lock';
const PYLOCK = 'pylock.toml';
/** Without the key `requirements`, in this order. */
const DEFAULTS = `${UV_LOCK}, ${PYLOCK}, ${DEFAULT_REQUIREMENTS} and ${PACKAGE_FILE}`;

export interface ChosenRequirements {
  /** As the key names it: the file, and its extras in brackets. */
  readonly value: string;
  /** Why it was chosen, in words. */
  readonly from: string;
}

/** `pyproject.toml[train]` without its extras. */
export function requirementsFile(value: string): string {
  return value.replace(/\[[^\]]*\]$/, '');
}

/** What is wrong with the value of the key `requirements`, or null. */
export function badRequirements(value: string): string | null {
  const file = requirementsFile(value);
  const name = file.slice(file.lastIndexOf('/') + 1);
  const hasExtras = file !== value;
  if (hasExtras && name !== PACKAGE_FILE && name !== UV_LOCK)
    return `has extras in brackets, which only ${PACKAGE_FILE} and ${UV_LOCK} have`;
  if (hasExtras && !/\[\s*[\w.-]+(\s*,\s*[\w.-]+)*\s*\]$/.test(value))
    return `has extras that are not names, such as ${PACKAGE_FILE}[train,eval]`;
  if (name === PACKAGE_FILE || name === UV_LOCK || /^pylock(\.[^.]+)?\.toml$/.test(name)) return null;
  if (/^environment(\.[^.]+)?\.ya?ml$/.test(name)) return null;
  if (!/\.(toml|lock|ya?ml|py|cfg|json)$/i.test(name) && name !== 'Pipfile') return null;
  return `names ${name}, which is not read: name a requirements.txt, ${PACKAGE_FILE}, ${UV_LOCK}, ${PYLOCK} or environment.yml`;
}

/**
 * What is installed when the key `requirements` is left out: the first of uv.lock, pylock.toml, requirements.txt, and a
 * pyproject.toml with dependencies. null: there is none.
 * @param names of the files, relative to the project
 * @param pyproject the text of the project's pyproject.toml, or null
 * @param installer the spec's; pip does not read uv.lock
 */
export function defaultRequirements(
  names: readonly string[],
  pyproject: string | null,
  installer: string | undefined,
): ChosenRequirements | null {
  const found = (value: string) => ({ value, from: `the first of ${DEFAULTS}` });
  if (names.includes(UV_LOCK) && names.includes(PACKAGE_FILE) && installer !== 'pip') return found(UV_LOCK);
  if (names.includes(PYLOCK)) return found(PYLOCK);
  if (names.includes(DEFAULT_REQUIREMENTS)) return found(DEFAULT_REQUIREMENTS);
  return pyproject !== null && hasDependencies(pyproject) ? found(PACKAGE_FILE) : null;
}

/** What is missing for the file that the key names, or null. */
export function missingRequirements(value: string, names: readonly string[]): string | null {
  const file = requirementsFile(value);
  if (!names.includes(file)) return file;
  const beside = `${file.slice(0, file.lastIndexOf('/') + 1)}${PACKAGE_FILE}`;
  return file.endsWith(UV_LOCK) && !names.includes(beside) ? beside : null;
}

function hasDependencies(text: string): boolean {
  try {
    const { project, tool } = parseToml(text) as {
      project?: { dependencies?: unknown; dynamic?: unknown };
      tool?: { poetry?: { dependencies?: object } };
    };
    const { dependencies, dynamic } = project ?? {};
    if (Array.isArray(dependencies) && dependencies.length > 0) return true;
    if (Array.isArray(dynamic) && dynamic.includes('dependencies')) return true;
    return project === undefined && Object.keys(tool?.poetry?.dependencies ?? {}).some((name) => name !== 'python');
  } catch {
    return false; // Not TOML: there is nothing that an install could read.
  }
}
