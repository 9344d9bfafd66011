import { inBatches } from '../checkpoints/in-batches.ts';
import { type CheckpointStore, isSame } from '../checkpoints/store.ts';
import type { EnvironmentReport, SentEnvironment } from '../protocol/answers.ts';
import type { PartsGrant } from '../protocol/messages.ts';
import type { EnvironmentProgress, JobInput } from '../workflow/data.ts';
import { environmentDataPrefix, environmentManifestKey, partName, RENEW_DAYS } from './keys.ts';
import { type EnvironmentManifest, installedEnvironment, readEnvironmentManifest } from './manifest.ts';

/** The instance holds four of them in memory when it restores one. */
export const ENVIRONMENT_PART_BYTES = 32 * 1024 * 1024;
const DAY_MS = 86_400_000;

/** What is to be done about the environment of an install, when the training starts; null: nothing. @param result of the install */
export function environmentToStore(result: unknown): EnvironmentProgress | null {
  const environment = installedEnvironment(result);
  return environment && { key: environment.key, state: 'new', sha256: environment.sha256 };
}

/** Looks once whether the environment is stored already. One that is old is stored again. */
export async function lookForEnvironment(
  store: Pick<CheckpointStore, 'read'>,
  { spec }: Pick<JobInput, 'spec'>,
  progress: EnvironmentProgress,
  now: number,
): Promise<EnvironmentProgress> {
  const found = await store.read(environmentManifestKey(spec.project, progress.key));
  const manifest = found && readEnvironmentManifest(found.text);
  if (!found || !manifest) return { ...progress, state: 'pending', replaces: found?.etag ?? null };
  const isOld = now - Date.parse(manifest.storedAt) > RENEW_DAYS * DAY_MS;
  return isOld
    ? { ...progress, state: 'pending', replaces: found.etag }
    : { ...progress, state: 'stored', sha256: progress.sha256 ?? manifest.sha256 };
}

/** The right to send the archive that a poll brings. */
export async function environmentGrant(
  store: Pick<CheckpointStore, 'grant'>,
  { spec, run }: Pick<JobInput, 'spec' | 'run'>,
  { key }: EnvironmentProgress,
): Promise<PartsGrant> {
  const prefix = environmentDataPrefix(spec.project, key, run);
  return { ...(await store.grant(prefix)), prefix, partBytes: ENVIRONMENT_PART_BYTES };
}

/** Commits what the instance has sent: its parts are compared, and the manifest pins their versions. */
export async function commitEnvironment(
  store: Pick<CheckpointStore, 'head' | 'read' | 'write'>,
  input: Pick<JobInput, 'spec' | 'run'>,
  progress: EnvironmentProgress,
  report: EnvironmentReport,
  now: number,
): Promise<EnvironmentProgress> {
  if (report.state === 'packing') return progress;
  if (report.state === 'failed') return { ...progress, state: 'not-stored', why: report.message };
  if (report.key !== progress.key) return { ...progress, state: 'not-stored', why: 'it is another environment' };
  const parts = await verifyParts(store, environmentDataPrefix(input.spec.project, progress.key, input.run), report);
  if (typeof parts === 'string') return { ...progress, state: 'not-stored', why: parts };
  const { key, sha256, bytes, packages } = report;
  const { id, startedAt } = input.run;
  const manifest: EnvironmentManifest = {
    version: 1,
    project: input.spec.project,
    key,
    run: { id, startedAt },
    sha256,
    bytes,
    packages,
    storedAt: new Date(now).toISOString(),
    parts,
  };
  const name = environmentManifestKey(input.spec.project, key);
  const stored = { ...progress, state: 'stored' as const };
  if (await store.write(name, `${JSON.stringify(manifest)}\n`, progress.replaces ?? null)) {
    return { ...stored, sha256: progress.sha256 ?? sha256 };
  }
  // Another run has stored the same meanwhile, or an attempt of this state that was killed has stored this one.
  const there = readEnvironmentManifest((await store.read(name))?.text ?? '');
  return { ...stored, sha256: progress.sha256 ?? there?.sha256 ?? null };
}

/** The parts with the versions that the bucket has, or what is wrong with one. */
async function verifyParts(
  store: Pick<CheckpointStore, 'head'>,
  prefix: string,
  { etags, bytes }: SentEnvironment,
): Promise<EnvironmentManifest['parts'] | string> {
  const last = bytes - (etags.length - 1) * ENVIRONMENT_PART_BYTES;
  if (last <= 0 || last > ENVIRONMENT_PART_BYTES) return 'its parts do not make up its size';
  const noted = etags.map((etag, index) => ({
    key: `${prefix}${partName(index)}`,
    bytes: index < etags.length - 1 ? ENVIRONMENT_PART_BYTES : last,
    etag,
  }));
  const found: EnvironmentManifest['parts'] = [];
  for await (const [part, object] of inBatches(noted, ({ key }) => store.head(key))) {
    if (object === null) return `${part.key} is missing in the bucket`;
    if (!isSame(object, part)) return `${part.key} is another one in the bucket`;
    found.push({ ...part, versionId: object.versionId });
  }
  return found;
}
