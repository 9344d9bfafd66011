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
  /** One cloud's own files, its key among them: no other user gets into it. `down` removes it. */
  readonly local: string;
  readonly stateFile: string;
  /** Names the lock of one cloud; no file is there. */
  readonly lock: string;
  readonly logs: string;
  /** The disks of its instances, `root` and `home` of the runner: jobs of other users work there. `down` removes it too. */
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
 * Makes a folder that only this user gets into, or makes it so when it is there.
 * @throws LocalError when it belongs to somebody else: what they put there is not ours.
 */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const info = await lstat(folder);
  if (!info.isDirectory() || info.uid !== process.getuid?.())
    throw new LocalError(`${folder} belongs to another user.`, 'Remove it, or choose another folder with --state.');
  await chmod(folder, 0o700);
}
