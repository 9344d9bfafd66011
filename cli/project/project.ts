import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { toProjectName } from '../../core/names.ts';
import {
  DEFAULT_PROJECT,
  packageName,
  parseSpecFile,
  refuseOtherSpecFiles,
  SPEC_FILE,
} from '../../core/spec/archive-spec.ts';
import { PACKAGE_FILE } from '../../core/spec/package-file.ts';
import type { SpecInput } from '../../core/spec/spec.ts';

/** A value, and where it comes from, in words. */
export interface Found<T> {
  readonly value: T;
  readonly from: string;
}

export interface Project {
  readonly name: Found<string>;
  /** `i-…` or `tag:Key=value`. */
  readonly instance: Found<string>;
  /** The folder's runctl.yaml. */
  readonly file: SpecInput;
}

/**
 * Finds project and instance of a folder, in the order of the run spec: flags, runctl.yaml, pyproject.toml, the folder's
 * name.
 * @throws InvalidSpec that names the key of runctl.yaml
 */
export async function findProject(folder: string, flags: Pick<SpecInput, 'project' | 'instance'>): Promise<Project> {
  refuseOtherSpecFiles(await readdir(folder));
  const text = await readIfThere(join(folder, SPEC_FILE));
  const file = text === null ? {} : parseSpecFile(text);
  const name = await nameProject(folder, flags, file);
  return { name, instance: findInstance(name.value, flags, file), file };
}

export async function nameProject(folder: string, flags: SpecInput, file: SpecInput): Promise<Found<string>> {
  if (flags.project !== undefined) return { value: flags.project, from: '--project' };
  if (file.project !== undefined) return { value: file.project, from: SPEC_FILE };
  const text = await readIfThere(join(folder, PACKAGE_FILE));
  const packaged = toProjectName((text === null ? null : packageName(text)) ?? '');
  if (packaged !== null) return { value: packaged, from: PACKAGE_FILE };
  const named = toProjectName(basename(folder));
  return named === null ? { value: DEFAULT_PROJECT, from: 'the default' } : { value: named, from: "the folder's name" };
}

function findInstance(project: string, flags: SpecInput, file: SpecInput): Found<string> {
  if (flags.instance !== undefined) return { value: flags.instance, from: '--instance' };
  if (file.instance !== undefined) return { value: file.instance, from: SPEC_FILE };
  return { value: `tag:Project=${project}`, from: 'the project' };
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
