import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the project: where package.json and cdk.json lie. */
export const projectRoot = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Where everything that the local cloud writes lies. A second cloud is a second folder. */
export interface StatePaths {
  /** The folder that the person chose, or `.runctl` in the project. */
  readonly base: string;
  /** One cloud's own files; `down` removes it. */
  readonly local: string;
  readonly stateFile: string;
  readonly lockFile: string;
  readonly logs: string;
  /** The instance's disk: `root` and `home` of the runner. */
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
    lockFile: join(folder, 'local.lock'),
    logs: join(local, 'logs'),
    instance: join(local, 'instance'),
    agent: join(local, 'agent'),
    venvs: join(projectState, 'venvs'),
    cache: join(projectState, 'cache'),
  };
}
