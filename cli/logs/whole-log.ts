import { createHash } from 'node:crypto';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type JobName, runFileKey } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { setUpError } from '../errors.ts';
import type { RunStore } from '../runs/store.ts';

/**
 * The exact bytes of an ended job's log, from the copy in S3. null: there is none.
 * @param manifest has the digest that is compared at the end; null: not known
 * @throws CliError, after the last byte, when the digest differs from the manifest
 */
export async function openWholeLog(
  store: Pick<RunStore, 'open'>,
  run: { readonly id: string; readonly manifest: Pick<Manifest, 'logs'> | null },
  job: JobName,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array> | null> {
  const key = runFileKey(run.id, `${job}.log.gz`);
  const object = await store.open(key, 0, signal);
  if (!object?.Body) return null;
  const promised = run.manifest?.logs.find((log) => log.job === job)?.sha256;
  return unpacked(object.Body as Readable, promised, key, signal);
}

async function* unpacked(gzip: Readable, promised: string | undefined, key: string, signal: AbortSignal) {
  const hash = createHash('sha256');
  const through = new PassThrough();
  gzip.on('data', (chunk: Uint8Array) => hash.update(chunk));
  const copied = pipeline(gzip, createGunzip(), through, { signal });
  copied.catch(() => undefined); // reported below, or by the stream that is read
  for await (const chunk of through) yield chunk as Uint8Array;
  await copied;
  if (promised === undefined || hash.digest('hex') === promised) return;
  throw setUpError(`The SHA-256 of ${key} differs from the manifest.`, 'Run the command again.');
}
