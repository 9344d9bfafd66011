import { PutObjectCommand, S3Client, UploadPartCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3';
import type { Part, Segment } from '../core/archive/assemble.ts';
import { RunError } from '../core/errors.ts';
import { type ArchiveLocation, archiveUri } from '../core/names.ts';
import { withAwsErrors } from './errors.ts';
import { putParts } from './multipart.ts';
import { copySource, expiring, getObject, headObject, type ObjectLocation, type S3 } from './objects.ts';
import { CLIENT_SETTINGS } from './settings.ts';

/** Held in memory beside the part that is sent. */
const SPAN_BYTES_MAX = 32 * 1024 * 1024;

/** Reads patches and bases, and writes the archives that they make. */
export interface AssemblyStore {
  /** null: there is no such object */
  find(location: ObjectLocation): Promise<{ versionId: string | null; bytes: number } | null>;
  /** `end` is exclusive. @throws RunError PatchUnusable when there is no such object */
  read(location: ArchiveLocation, start: number, end: number): Promise<Buffer>;
  /** @returns the version */
  write(
    target: ObjectLocation,
    base: ArchiveLocation,
    parts: readonly Part[],
    options: { readonly expires: boolean },
  ): Promise<string | null>;
}

export function createAssemblyStore(): AssemblyStore {
  return assemblyStoreOver(new S3Client({ ...CLIENT_SETTINGS, responseChecksumValidation: 'WHEN_REQUIRED' }));
}

export function assemblyStoreOver(s3: S3): AssemblyStore {
  const read: AssemblyStore['read'] = async (location, start, end) => {
    const object = await getObject(s3, location, { from: start, to: end });
    if (!object?.Body)
      throw new RunError('PatchUnusable', `The patch needs ${archiveUri(location)}, which does not exist.`);
    // A service that ignores ranges answers with the whole object.
    const skip = object.ContentRange === undefined ? start : 0;
    const body = await withAwsErrors(
      `s3:GetObject of ${archiveUri(location)}`,
      collect(object.Body as AsyncIterable<Uint8Array>, skip, end - start),
    );
    if (body.length !== end - start)
      throw new RunError('PatchUnusable', `${archiveUri(location)} ends before byte ${end}, which the patch needs.`);
    return body;
  };
  return {
    async find(location) {
      const head = await headObject(s3, location);
      return head === null ? null : { versionId: head.VersionId ?? null, bytes: head.ContentLength ?? 0 };
    },
    read,
    async write(target, base, parts, { expires }) {
      const Target = { Bucket: target.bucket, Key: target.key };
      const marks = expires ? expiring() : {};
      const [only] = parts;
      if (parts.length === 1 && only !== undefined && 'send' in only) {
        const Body = await bytesOf(only.send, base, read);
        const sent = s3.send(new PutObjectCommand({ ...Target, ...marks, Body }));
        return (await withAwsErrors(`s3:PutObject of s3://${target.bucket}/${target.key}`, sent)).VersionId ?? null;
      }
      return await putParts(s3, { ...Target, ...marks }, async (next) => {
        for (const part of parts) {
          if ('copy' in part) {
            const CopySourceRange = `bytes=${part.copy.start}-${part.copy.end - 1}`;
            const from = { CopySource: copySource(base), CopySourceRange };
            await next(
              async (ids) => (await s3.send(new UploadPartCopyCommand({ ...ids, ...from }))).CopyPartResult?.ETag,
            );
          } else {
            const Body = await bytesOf(part.send, base, read);
            await next(async (ids) => (await s3.send(new UploadPartCommand({ ...ids, Body }))).ETag);
          }
        }
      });
    },
  };
}

/** What a part sends: stretches of the base that are near each other are read in one request. */
async function bytesOf(part: readonly Segment[], base: ArchiveLocation, read: AssemblyStore['read']): Promise<Buffer> {
  const kept = part.filter((segment) => 'start' in segment);
  const start = Math.min(...kept.map((segment) => segment.start));
  const end = Math.max(...kept.map((segment) => segment.end));
  if (kept.length === 0 || end - start > SPAN_BYTES_MAX)
    return Buffer.concat(
      await Promise.all(part.map((one) => ('bytes' in one ? one.bytes : read(base, one.start, one.end)))),
    );
  const bytes = await read(base, start, end);
  return Buffer.concat(
    part.map((one) => ('bytes' in one ? one.bytes : bytes.subarray(one.start - start, one.end - start))),
  );
}

async function collect(body: AsyncIterable<Uint8Array>, skip: number, most: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for await (const chunk of body) {
    const from = Math.max(skip - at, 0);
    const to = Math.min(chunk.length, skip + most - at);
    if (from < to) chunks.push(chunk.subarray(from, to));
    at += chunk.length;
    if (at >= skip + most) break;
  }
  return Buffer.concat(chunks);
}
