import { readFile } from 'node:fs/promises';
import { includedFiles } from '../../core/spec/requirement-includes.ts';
import { requirementsFile } from '../../core/spec/requirements.ts';
import { type SpecInput, withoutDotSlash } from '../../core/spec/spec.ts';
import { usageError } from '../errors.ts';
import { type Code, projectNames } from './code.ts';

/**
 * Checks before anything is sent that the files are packed which a requirements.txt includes, and those that they include.
 * @param requirements what a run would install; null: nothing
 * @throws CliError for the first one that is missing
 */
export async function checkIncludes({ listing }: Code, requirements: string | null, spec: SpecInput): Promise<void> {
  if (requirements === null || spec.install === 'skip') return;
  const { names } = projectNames(listing.files, []);
  const paths = new Map(names.map((name, index) => [name, listing.files[index]?.path ?? '']));
  const todo = [withoutDotSlash(requirementsFile(requirements))].filter((name) => !/\.(toml|lock|ya?ml)$/i.test(name));
  const seen = new Set(todo);
  for (const name of todo) {
    const path = paths.get(name);
    if (path === undefined) continue;
    for (const included of includedFiles(textOf(await readFile(path)), name, spec.env ?? {})) {
      if (!paths.has(included))
        throw usageError(
          `${name} includes ${included}, which is not among the files to upload.`,
          'Correct the line, or check whether an ignore file excludes the file.',
        );
      if (!seen.has(included)) todo.push(included);
      seen.add(included);
    }
  }
}

/** PowerShell writes UTF-16. */
function textOf(data: Buffer): string {
  const encoding = data[0] === 0xff && data[1] === 0xfe ? 'utf-16le' : 'utf-8';
  return new TextDecoder(encoding).decode(data);
}
