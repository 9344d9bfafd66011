import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SPEC_FILE } from '../../core/spec/archive-spec.ts';
import { requirementsFile } from '../../core/spec/requirements.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { findRequirements } from '../archive/code.ts';
import { type Check, failed, ok } from './check.ts';

/** What a run of the folder would install. Only the top of the folder is listed. */
export async function checkRequirements(folder: string, spec: SpecInput): Promise<Check> {
  const chosen = await findRequirements(folder, await readdir(folder), spec, SPEC_FILE);
  if (chosen === null) return ok('install', spec.install === 'skip' ? 'nothing (install: skip)' : 'nothing');
  const file = requirementsFile(chosen.value);
  if (await isFile(join(folder, file))) return ok('install', `${chosen.value} (${chosen.from})`);
  return failed(
    'install',
    `${file} does not exist`,
    `Create the file, or correct the key requirements of ${SPEC_FILE}.`,
  );
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
