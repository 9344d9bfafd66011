import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

const CHUNK_BYTES = 64 * 1024;

/** A stored file is not the one whose digest is known. */
export class DigestMismatch extends Error {
  override readonly name = 'DigestMismatch';
}

/**
 * Unpacks a gzip file as it is read. Who stops reading ends the source as well.
 * @param options `sha256` of the packed bytes; null: not known
 * @throws DigestMismatch after the last byte
 */
export async function* gunzipped(
  gzip: AsyncIterable<Uint8Array>,
  { sha256 = null, signal }: { readonly sha256?: string | null; readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of gzip) {
      hash.update(chunk);
      yield chunk;
    }
  }
  const unzip = createGunzip({ chunkSize: CHUNK_BYTES });
  const copied = pipeline(Readable.from(hashed(), { objectMode: false }), unzip, { ...(signal ? { signal } : {}) });
  copied.catch(() => undefined); // reported by the stream that is read
  yield* unzip as AsyncIterable<Uint8Array>;
  await copied;
  if (sha256 !== null && hash.digest('hex') !== sha256) throw new DigestMismatch('The SHA-256 of the file differs.');
}
