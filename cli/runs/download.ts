import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setUpError } from '../errors.ts';
import type { RunStore } from './store.ts';

export interface Wanted {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Fetches an object into `file`, by way of `<file>.part`: what an earlier try brought is not fetched again.
 * @param progress gets the bytes that are there
 * @throws CliError when the object is gone, or is not the one that the manifest speaks of; the part is removed then
 */
export async function download(
  store: Pick<RunStore, 'open' | 'bucket'>,
  wanted: Wanted,
  file: string,
  progress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const part = `${file}.part`;
  const there = await sizeOf(part);
  const from = there < wanted.bytes ? there : 0;
  const hash = createHash('sha256');
  if (from > 0) await pipeline(createReadStream(part), hashing(hash), { signal });
  const object = await store.open(wanted.key, from, signal);
  if (!object?.Body)
    throw setUpError(
      `s3://${store.bucket}/${wanted.key} is not there any more.`,
      "It may have expired: see the bucket's lifecycle rules.",
    );
  let bytes = from;
  await pipeline(
    object.Body as Readable,
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        bytes += chunk.length;
        progress(bytes);
        yield chunk;
      }
    },
    createWriteStream(part, { flags: from > 0 ? 'a' : 'w' }),
    { signal },
  );
  if (hash.digest('hex') !== wanted.sha256) {
    await rm(part, { force: true });
    throw setUpError(
      `${wanted.key} is not the file that the manifest speaks of: its SHA-256 differs.`,
      'Pull again; when it happens twice, somebody has changed the object.',
    );
  }
  await rename(part, file);
}

function hashing(hash: Hash) {
  return async (chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) hash.update(chunk);
  };
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}
