import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { JOBS, MANIFEST } from '../../core/names.ts';
import { OUTPUTS_ARCHIVE } from '../../core/outcome/manifest.ts';
import { readManifest } from '../../core/outcome/manifest-schema.ts';

/** A manifest lists 5,000 outputs at most. */
const MANIFEST_BYTES = 32 * 1024 * 1024;

/** What `runctl pull` wrote into a folder. */
export interface Pulled {
  /** By path in the archive. */
  readonly names: readonly string[];
  /** The manifest lists all outputs. */
  readonly isComplete: boolean;
}

/**
 * Recognizes a folder that `runctl pull` wrote by its manifest.
 * @param name path of the folder in the archive, '' for the top
 * @returns null for any other folder
 */
export async function readPulled(folder: string, name: string): Promise<Pulled | null> {
  const file = join(folder, MANIFEST);
  const info = await lstat(file).catch(() => null);
  if (info?.isFile() !== true || info.size > MANIFEST_BYTES) return null;
  const manifest = readManifest(await readFile(file, 'utf8').catch(() => ''));
  if (manifest === null) return null;
  const { files, count } = manifest.outputs;
  const own = [MANIFEST, OUTPUTS_ARCHIVE, ...JOBS.flatMap((job) => [`${job}.log`, `${job}.log.gz`])];
  const names = [...own, ...files.map(({ path }) => path)];
  return {
    names: names.map((path) => (name === '' ? path : `${name}/${path}`)),
    isComplete: files.length === count,
  };
}
