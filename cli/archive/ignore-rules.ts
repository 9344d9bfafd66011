import { statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import ignore, { type Ignore } from 'ignore';
import { PackError } from './pack-error.ts';

export const OWN_IGNORE_FILE = '.runctlignore';

/** The ignore rules of one folder. */
export interface Scope {
  readonly rules: Ignore;
  /** A path in the archive, as the rules' folder sees it; null when it is not below that folder. */
  readonly relative: (name: string) => string | null;
  /** Some rule begins with `!`. */
  readonly hasExceptions: boolean;
}

/**
 * Reads an ignore file. Bytes that are UTF-16, as PowerShell writes them, are read as such, which git does not do.
 * @param name path of the file's folder in the archive, '' for the top
 * @returns null when there is no such file
 */
export async function readScope(
  file: string,
  name: string,
  options: { readonly ignoreCase: boolean },
): Promise<Scope | null> {
  const relative = (path: string) => {
    if (name === '') return path;
    return path.startsWith(`${name}/`) ? path.slice(name.length + 1) : null;
  };
  return await readScopeFor(file, relative, options);
}

/** The same for a folder above the project: the project's paths get `prefix` in front. */
export async function readOuterScope(
  file: string,
  prefix: string,
  options: { readonly ignoreCase: boolean },
): Promise<Scope | null> {
  return await readScopeFor(file, (path) => `${prefix}${path}`, options);
}

async function readScopeFor(
  file: string,
  relative: Scope['relative'],
  { ignoreCase }: { readonly ignoreCase: boolean },
): Promise<Scope | null> {
  const bytes = await readIgnoreFile(file);
  if (bytes === null) return null;
  const text = decode(bytes);
  const lines = text.split(/\r?\n/);
  return {
    rules: ignore({ ignorecase: ignoreCase }).add(text),
    relative,
    hasExceptions: lines.some((line) => line.startsWith('!')),
  };
}

async function readIgnoreFile(file: string): Promise<Buffer | null> {
  try {
    // Most folders have none, and to open what does not exist takes much longer.
    if (statSync(file, { throwIfNoEntry: false }) === undefined) return null;
    return await readFile(file);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return null;
    throw new PackError(
      `${file} cannot be read (${String(code)}), so it is not known what it excludes.`,
      'Correct its permissions, or remove the file.',
      { cause },
    );
  }
}

function decode(bytes: Buffer): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return bytes.subarray(2).toString('utf16le');
  const text = bytes.toString('utf8');
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}

/**
 * What the rules say of a path: the innermost folder with a matching rule decides, as in git. null: no rule matches.
 * @param name path in the archive, with a slash at its end for a folder
 */
export function verdict(name: string, scopes: readonly Scope[]): 'excluded' | 'included' | null {
  for (const { rules, relative } of [...scopes].reverse()) {
    const path = relative(name);
    if (path === null) continue;
    const { ignored, unignored } = rules.test(path);
    if (ignored) return 'excluded';
    if (unignored) return 'included';
  }
  return null;
}

/** Whether the file system finds a file by its name in other letters: what git notes as `core.ignorecase`. */
export async function ignoresCase(file: string): Promise<boolean> {
  const name = basename(file);
  const other = name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
  if (other === name) return false;
  const [one, same] = await Promise.all(
    [file, join(dirname(file), other)].map((path) => stat(path).catch(() => undefined)),
  );
  return one !== undefined && same !== undefined && one.ino === same.ino && one.dev === same.dev;
}
