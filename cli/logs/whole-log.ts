import { type JobName, logFileName, runFileKey } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { DigestMismatch, gunzipped } from '../../core/results/gunzip.ts';
import { type CliError, setUpError } from '../errors.ts';
import type { RunStore } from '../runs/store.ts';

/**
 * The exact bytes of an ended job's log, from the copy in S3. null: there is none.
 * @param manifest has the digest that is compared at the end; null: not known
 * @throws CliError, after the last byte, when the digest differs from the manifest
 */
export async function openWholeLog(
  store: Pick<RunStore, 'open'>,
  run: { readonly id: string; readonly manifest: Pick<Manifest, 'logs'> | null },
  { job, attempt }: { readonly job: JobName; readonly attempt: number },
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array> | null> {
  const key = runFileKey(run.id, logFileName(job, attempt));
  const object = await store.open(key, 0, signal);
  if (!object?.Body) return null;
  const sha256 = run.manifest?.logs.find((log) => log.job === job && log.attempt === attempt)?.sha256 ?? null;
  return unpacked(object.Body as AsyncIterable<Uint8Array>, key, { sha256, signal });
}

async function* unpacked(
  gzip: AsyncIterable<Uint8Array>,
  key: string,
  options: { readonly sha256: string | null; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  try {
    yield* gunzipped(gzip, options);
  } catch (error) {
    throw error instanceof DigestMismatch ? otherLog(key) : error;
  }
}

/** The log in the bucket is not the one that the manifest names. */
export function otherLog(key: string): CliError {
  return setUpError(`The SHA-256 of ${key} differs from the manifest.`, 'Run the command again.');
}
