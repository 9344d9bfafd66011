import { lstatSync, type Stats } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import * as z from 'zod/mini';
import { JOBS, MANIFEST, PULLED } from '../../core/names.ts';
import { OUTPUTS_ARCHIVE } from '../../core/outcome/manifest.ts';
import { type Manifest, readManifest } from '../../core/outcome/manifest-schema.ts';

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
 * Recognizes a folder that `runctl pull` wrote by its manifest, or by the record of what it placed.
 * @param name path of the folder in the archive, '' for the top
 * @returns null for any other folder
 */
export async function readPulled(folder: string, name: string): Promise<Pulled | null> {
  const manifest = await readKept(folder);
  const placed = Object.keys(await readPlaced(folder));
  if (manifest === null && placed.length === 0) return null;
  const { files, count } = manifest?.outputs ?? { files: [], count: 0 };
  const logs = [...JOBS.map((job) => `${job}.log.gz`), ...(manifest?.logs ?? []).map(({ key }) => basename(key))];
  const own = [MANIFEST, PULLED, OUTPUTS_ARCHIVE, ...logs.flatMap((log) => [log, log.replace(/\.gz$/, '')])];
  const names = [...own, ...placed, ...files.map(({ path }) => path)];
  return {
    names: names.map((path) => (name === '' ? path : `${name}/${path}`)),
    isComplete: files.length === count,
  };
}

async function readKept(folder: string): Promise<Manifest | null> {
  const text = await readSmall(join(folder, MANIFEST));
  return text === null ? null : readManifest(text);
}

/** What `runctl pull` placed in a folder beside what the manifest lists: SHA-256 by path. */
export async function readPlaced(folder: string): Promise<Readonly<Record<string, string>>> {
  const text = await readSmall(join(folder, PULLED));
  if (text === null) return {};
  try {
    const value: unknown = JSON.parse(text);
    return z.parse(z.record(z.string(), z.string()), value);
  } catch {
    return {}; // Somebody else's file.
  }
}

async function readSmall(file: string): Promise<string | null> {
  const info = statOf(file);
  if (info?.isFile() !== true || info.size > MANIFEST_BYTES) return null;
  return await readFile(file, 'utf8').catch(() => null);
}

function statOf(file: string): Stats | undefined {
  try {
    return lstatSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
