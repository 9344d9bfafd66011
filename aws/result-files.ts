import { PutObjectCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3';
import { runFileKey } from '../core/names.ts';
import type { ResultFiles } from '../core/results/summarize-run.ts';
import { withAwsErrors } from './errors.ts';
import { putParts } from './multipart.ts';
import { getObject, readBody, type S3 } from './objects.ts';
import { CLIENT_SETTINGS } from './settings.ts';

/** Held in memory, twice. 10,000 parts of it are 80 GB. */
const PART_BYTES = 8 * 1024 * 1024;

/** Reads and writes the files of runs as streams. */
export function createResultFiles(bucket: string): (runId: string) => ResultFiles {
  // A file that the instance has sent has no checksum that would have to be compared; its digest is in the manifest.
  return resultFilesOver(new S3Client({ ...CLIENT_SETTINGS, responseChecksumValidation: 'WHEN_REQUIRED' }), bucket);
}

/** @param partBytes at least 5 MiB on AWS */
export function resultFilesOver(s3: S3, bucket: string, partBytes = PART_BYTES): (runId: string) => ResultFiles {
  return (runId) => ({
    async open(name) {
      const key = runFileKey(runId, name);
      const object = await getObject(s3, { bucket, key });
      return object?.Body ? readBody(object.Body as AsyncIterable<Uint8Array>, { bucket, key }) : null;
    },
    async write(name, body, ContentType) {
      const target = { Bucket: bucket, Key: runFileKey(runId, name) };
      const parts = partsOf(body, partBytes);
      const first = (await parts.next()).value ?? Buffer.alloc(0);
      const second = await parts.next();
      if (second.done) {
        const sent = s3.send(new PutObjectCommand({ ...target, ContentType, Body: first }));
        await withAwsErrors(`s3:PutObject of s3://${bucket}/${target.Key}`, sent);
        return;
      }
      await putParts(s3, { ...target, ContentType }, async (next) => {
        const send = (Body: Buffer) =>
          next(async (ids) => (await s3.send(new UploadPartCommand({ ...ids, Body }))).ETag);
        for (const part of [first, second.value]) await send(part);
        for await (const part of parts) await send(part);
      });
    },
  });
}

/** All but the last have exactly so many bytes. */
async function* partsOf(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Buffer, undefined> {
  let held: Uint8Array[] = [];
  let size = 0;
  for await (let chunk of body) {
    while (size + chunk.length >= bytes) {
      const rest = chunk.subarray(bytes - size);
      yield Buffer.concat([...held, chunk.subarray(0, bytes - size)]);
      [held, size, chunk] = [[], 0, rest];
    }
    if (chunk.length > 0) {
      held.push(chunk);
      size += chunk.length;
    }
  }
  if (size > 0) yield Buffer.concat(held);
  return undefined;
}
