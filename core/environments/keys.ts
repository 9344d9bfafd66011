import type { Run } from '../workflow/data.ts';

/** Archives of environments, which instances send by a right for one environment of their run alone. */
export const ENVIRONMENT_DATA_PREFIX = 'environment-data/';
/** What functions have verified of them: never written by an instance. */
export const ENVIRONMENT_PREFIX = 'environments/';
/** The bucket deletes an environment so long after it was stored. */
export const ENVIRONMENT_DAYS = 30;
/** A run that uses one which is older stores it again, so that only those expire that nobody uses. */
export const RENEW_DAYS = 15;

/** Begins the keys of all environments of a project. */
export function environmentsPrefix(project: string): string {
  return `${ENVIRONMENT_PREFIX}${project}/`;
}

/** @param key of the environment: hex */
export function environmentManifestKey(project: string, key: string): string {
  return `${environmentsPrefix(project)}${key}/manifest.json`;
}

/** Begins the keys that an instance may write for a run. */
export function environmentDataPrefix(project: string, key: string, run: Pick<Run, 'key'>): string {
  return `${ENVIRONMENT_DATA_PREFIX}${project}/${key}/${run.key}/`;
}

/** Of a part of an archive, in order. */
export function partName(index: number): string {
  return String(index).padStart(5, '0');
}
