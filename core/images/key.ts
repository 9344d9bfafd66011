import { createHash } from 'node:crypto';
import type { RunSpec } from '../spec/spec.ts';

/** Of what a key is made of: another number makes every key another one. */
const FORMAT = 1;

/**
 * Whether an install may read the file: lists of requirements, locks, and what a build of the project reads. A file that no install
 * reads only makes an image more often than needed; one that is left out here costs the first run on the image an install.
 * @param path in the archive
 */
export function isReadByInstall(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return /\.(txt|in|toml|lock|cfg|ya?ml|whl)$/i.test(name) || name === 'setup.py';
}

/**
 * The key of an image: hex SHA-256 of all that its packages depend on.
 * @param digests of the files that {@link isReadByInstall} names, by path
 */
export function imageKey(about: {
  readonly project: string;
  readonly base: string;
  readonly spec: Pick<RunSpec, 'environment' | 'requirements' | 'installer' | 'python' | 'user' | 'env'>;
  readonly digests: ReadonlyMap<string, string>;
}): string {
  const { environment, requirements, installer, python, user, env } = about.spec;
  const parts = {
    format: FORMAT,
    project: about.project,
    base: about.base,
    spec: { environment, requirements, installer, python, user, env: Object.entries(env).sort() },
    files: [...about.digests].sort(([one], [other]) => (one < other ? -1 : 1)),
  };
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
