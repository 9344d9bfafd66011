import { createHash } from 'node:crypto';
import type { RestoreList } from '../protocol/messages.ts';
import type { CheckpointManifest } from './manifest.ts';
import type { CheckpointStore } from './store.ts';

/** What an instance fetches of a checkpoint (instance/CONTRACT.md, job `restore`). It has presigned URLs: it is a secret. */
export async function restoreList(
  store: Pick<CheckpointStore, 'presignGet'>,
  { name, files }: CheckpointManifest,
): Promise<{ readonly text: string; readonly sha256: string; readonly bytes: number }> {
  const listed = await Promise.all(
    files.map(async ({ path, bytes, parts }) => ({
      path,
      bytes,
      parts: await Promise.all(
        // The ETag of an object that was POSTed is the MD5 of its bytes.
        parts.map(async (part) => ({
          url: await store.presignGet(part.key, part.versionId),
          bytes: part.bytes,
          md5: part.etag,
        })),
      ),
    })),
  );
  const list: RestoreList = { version: 1, name, files: listed };
  const text = JSON.stringify(list);
  return { text, sha256: createHash('sha256').update(text).digest('hex'), bytes: Buffer.byteLength(text) };
}
