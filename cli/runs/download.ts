import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setUpError } from '../errors.ts';
import type { RunStore } from './store.ts';

export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Downloads an object to `file`, through `<file>.part`: what an earlier attempt downloaded is not downloaded again.
 * @param progress gets the number of bytes so far
 * @throws CliError when the object no longer exists, or its digest differs from the manifest; the part is removed then
 */
export async function download(
  store: Pick<RunStore, 'open' | 'bucket'>,
  object: StoredObject,
  file: string,
  progress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const part = `${file}.part`;
  const existing = await sizeOf(part);
  const from = existing < object.bytes ? existing : 0;
  const hash = createHash('sha256');
  if (from > 0) await pipeline(createReadStream(part), hashing(hash), { signal });
  const response = await store.open(object.key, from, signal);
  if (!response?.Body)
    throw setUpError(
      `s3://${store.bucket}/${object.key} no longer exists.`,
      'It may have expired; check the lifecycle rules of the bucket.',
    );
  let bytes = from;
  await pipeline(
    response.Body as Readable,
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        bytes += chunk.length;
        if (bytes > object.bytes) throw differs(object); // as much may come as the disk has
        progress(bytes);
        yield chunk;
      }
    },
    createWriteStream(part, { flags: from > 0 ? 'a' : 'w' }),
    { signal },
  );
  if (hash.digest('hex') !== object.sha256) {
    await rm(part, { force: true });
    throw differs(object);
  }
  await rename(part, file);
}

function differs({ key }: StoredObject) {
  return setUpError(
    `The SHA-256 of ${key} differs from the manifest.`,
    'Run the command again. If the error remains, somebody has changed the object.',
  );
}

function hashing(hash: Hash) {
  return async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) hash.update(chunk);
  };
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}
