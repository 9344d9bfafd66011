import { chmod, lstat, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LocalError } from './errors.ts';

/** The folder of the project: where package.json and cdk.json lie. */
export const projectRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Where everything that the local cloud writes lies. A second cloud is a second folder. */
export interface StatePaths {
  /** The folder that the person chose, or `.runctl` in the project. */
  readonly base: string;
  /** Files of one cloud, with its key: mode 0700. `down` removes it. */
  readonly local: string;
  readonly stateFile: string;
  /** Names the lock of one cloud; no file is there. */
  readonly lock: string;
  readonly logs: string;
  /** Disks of its instances (`root` and `home` of the runner). `down` removes it. */
  readonly instance: string;
  /** The SSM agent's own files: documents, and a folder for each instance with its scripts. */
  readonly agent: string;
  /** Python environments and package caches: kept by `down`, since they cost a download; every cloud uses the same. */
  readonly venvs: string;
  readonly cache: string;
}

const projectState = join(projectRoot, '.runctl');

export function statePaths(base: string = projectState): StatePaths {
  const folder = resolve(base);
  const local = join(folder, 'local');
  return {
    base: folder,
    local,
    stateFile: join(local, 'state.json'),
    lock: join(folder, 'local.lock'),
    logs: join(local, 'logs'),
    instance: join(folder, 'instance'),
    agent: join(local, 'agent'),
    venvs: join(projectState, 'venvs'),
    cache: join(projectState, 'cache'),
  };
}

/** A command about this cloud, as a person types it. */
export function localCommand(words: string, { base }: StatePaths): string {
  const place = /^[\w./@:+-]+$/.test(base) ? base : `'${base.replaceAll("'", "'\\''")}'`;
  return base === projectState ? `runctl local ${words}` : `runctl local ${words} --state ${place}`;
}

/**
 * Creates the folders that other users cannot read. If root runs the cloud, its jobs may run as other
 * users, who must be able to reach their home below the instance's folder.
 */
export async function makePrivateFolders(paths: StatePaths): Promise<void> {
  await makeFolder(paths.local, 0o700);
  await makeFolder(paths.instance, process.getuid?.() === 0 ? 0o711 : 0o700);
}

/** @throws LocalError if the folder exists and belongs to another user */
async function makeFolder(folder: string, mode: number): Promise<void> {
  await mkdir(folder, { recursive: true, mode });
  const info = await lstat(folder);
  if (!info.isDirectory() || info.uid !== process.getuid?.())
    throw new LocalError(`${folder} belongs to another user.`, 'Remove it, or choose another folder with --state.');
  await chmod(folder, mode);
}
