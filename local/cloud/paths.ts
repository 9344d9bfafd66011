import { chmod, lstat, mkdir } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { isCheckout, packageRoot } from '../../cli/deploy/installation.ts';
import { LocalError } from './errors.ts';

/** The folder of package.json and cdk.json. */
export const projectRoot = packageRoot;

/** The files and folders that the local cloud writes. A second cloud has another folder. */
export interface StatePaths {
  /** The folder that the person chose, or the default. */
  readonly base: string;
  /** Files of one cloud, with its key: mode 0700. `down` removes it. */
  readonly local: string;
  readonly stateFile: string;
  /** The name of this cloud's lock. No file is created. */
  readonly lock: string;
  readonly logs: string;
  /** The disks of its instances (`root` and `home` of the runner). `down` removes it. */
  readonly instance: string;
  /** Copies of such disks, in images: `<image id>`. `down` removes it. */
  readonly images: string;
  /** The SSM agent's own files: documents, and a folder for each instance with its scripts. */
  readonly agent: string;
  /** Notices of EC2 that the metadata service has for an instance: `<instance id>.json`. */
  readonly notices: string;
  /** Python environments and package caches, shared by all clouds. `down` keeps them: they are downloads. */
  readonly venvs: string;
  readonly cache: string;
}

/**
 * A checkout keeps everything in its `.runctl`. An installed package may be read-only, so it uses the person's
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

/** @param base the folder from --state: everything is written below it, except the caches that a checkout shares */
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
    images: join(folder, 'images'),
    agent: join(local, 'agent'),
    notices: join(local, 'notices'),
    venvs: join(caches, 'venvs'),
    cache: join(caches, 'cache'),
  };
}

/** The downloads of uv and pip, which instances keep between clouds. */
export function packageCaches({ cache }: StatePaths): string {
  return join(cache, 'instance');
}

/** The command line of `runctl local <words>` for this cloud. */
export function localCommand(words: string, { base }: StatePaths): string {
  const quotedBase = /^[\w./@:+-]+$/.test(base) ? base : `'${base.replaceAll("'", "'\\''")}'`;
  return base === defaults.state ? `runctl local ${words}` : `runctl local ${words} --state ${quotedBase}`;
}

/**
 * Creates the folders that other users cannot read. If root runs the cloud, its jobs may run as other
 * users, who must be able to reach their home below the instance's folder.
 */
export async function makePrivateFolders(paths: StatePaths): Promise<void> {
  await makeFolder(paths.local, 0o700);
  await makeFolder(paths.images, 0o700);
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
