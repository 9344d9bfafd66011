import { chmod, lstat, mkdir } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { isCheckout, packageRoot } from '../../cli/deploy/installation.ts';
import { LocalError } from './errors.ts';

/** The folder of package.json and cdk.json. */
export const projectRoot = packageRoot;

/** Where everything that the local cloud writes lies. A second cloud is a second folder. */
export interface StatePaths {
  /** The folder that the person chose, or the default. */
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

/**
 * A checkout keeps everything in its `.runctl`. A package has nothing to write to: as other programs it takes the person's
 * folders for state and for caches (https://specifications.freedesktop.org/basedir-spec/latest/).
 */
function defaultFolders(env: NodeJS.ProcessEnv = process.env): { state: string; caches: string } {
  const checkout = join(projectRoot, '.runctl');
  if (isCheckout) return { state: checkout, caches: checkout };
  const absolute = (folder: string | undefined) => (folder && isAbsolute(folder) ? folder : null);
  const home = absolute(env.HOME) ?? userInfo().homedir;
  return {
    state: join(absolute(env.XDG_STATE_HOME) ?? join(home, '.local', 'state'), 'runctl'),
    caches: join(absolute(env.XDG_CACHE_HOME) ?? join(home, '.cache'), 'runctl'),
  };
}

const defaults = defaultFolders();

/** @param base the person's choice: all that is written is below it, but for the caches that a checkout shares */
export function statePaths(base?: string): StatePaths {
  const folder = resolve(base ?? defaults.state);
  const caches = base === undefined || isCheckout ? defaults.caches : folder;
  const local = join(folder, 'local');
  return {
    base: folder,
    local,
    stateFile: join(local, 'state.json'),
    lock: join(folder, 'local.lock'),
    logs: join(local, 'logs'),
    instance: join(folder, 'instance'),
    agent: join(local, 'agent'),
    venvs: join(caches, 'venvs'),
    cache: join(caches, 'cache'),
  };
}

/** A command about this cloud, as a person types it. */
export function localCommand(words: string, { base }: StatePaths): string {
  const place = /^[\w./@:+-]+$/.test(base) ? base : `'${base.replaceAll("'", "'\\''")}'`;
  return base === defaults.state ? `runctl local ${words}` : `runctl local ${words} --state ${place}`;
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
