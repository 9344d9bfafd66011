import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { httpStatus } from '../../aws/errors.ts';
import { archiveKey } from '../../core/names.ts';
import { expires, isOld, KnownArchives, type StoredArchive, unlessMissing } from './known-archives.ts';
import { type LocalArchive, PART_BYTES, type UploadOptions } from './upload.ts';

/** Whether the person may read archives: who may only upload gets the same answer for one that exists and one that does not. */
export async function mayReuse(
  s3: Pick<S3Client, 'send'>,
  { sha256 }: Pick<LocalArchive, 'sha256'>,
  to: { readonly bucket: string; readonly project: string },
  { signal }: UploadOptions = {},
): Promise<boolean> {
  const head = new HeadObjectCommand({ Bucket: to.bucket, Key: archiveKey(to.project, sha256) });
  try {
    await s3.send(head, signal ? { abortSignal: signal } : {});
    return true;
  } catch (error) {
    if (httpStatus(error) === 403) return false;
    if (httpStatus(error) === 404) return true;
    throw error;
  }
}

/** The same archive, where it was stored before; null when it was not. */
export async function findArchive(
  s3: S3Client,
  archive: LocalArchive,
  to: { readonly bucket: string; readonly project: string },
  { signal }: UploadOptions = {},
): Promise<StoredArchive | null> {
  const { bucket } = to;
  const archives = new KnownArchives(s3, to, signal);
  const last = archive.previous?.archive.sha256 === archive.sha256 ? archive.previous.storedIn(to) : null;
  const checked = last && (await archives.check(last, archive.bytes));
  if (checked) return checked;
  const key = archiveKey(to.project, archive.sha256);
  const head = new HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: 'ENABLED' });
  const [known, found] = await Promise.all([
    archives.find(archive.sha256, archive.bytes),
    unlessMissing(s3.send(head, signal ? { abortSignal: signal } : {})),
  ]);
  if (known !== null || found?.ContentLength !== archive.bytes) return known;
  // Its metadata proves nothing: whoever uploads writes it. The checksum S3 has computed itself.
  if (found.ChecksumSHA256 !== (await checksumOf(archive))) return null;
  return { bucket, key, versionId: found.VersionId ?? null, expires: expires(found), isOld: isOld(found) };
}

/**
 * The checksum that S3 shows for the archive as `put` sends it: of an object in one part base64 of its SHA-256, of one in several parts
 * base64 of the SHA-256 of the parts' digests, and their number (S3 User Guide, "Checking object integrity", composite checksums).
 */
export async function checksumOf({
  file,
  sha256,
  bytes,
}: Pick<LocalArchive, 'file' | 'sha256' | 'bytes'>): Promise<string> {
  if (bytes <= PART_BYTES) return Buffer.from(sha256, 'hex').toString('base64');
  const all = createHash('sha256');
  const parts = Math.ceil(bytes / PART_BYTES);
  for (let part = 0; part < parts; part += 1) {
    const hash = createHash('sha256');
    const range = { start: part * PART_BYTES, end: Math.min(bytes, (part + 1) * PART_BYTES) - 1 };
    for await (const chunk of createReadStream(await file(), range)) hash.update(chunk as Buffer);
    all.update(hash.digest());
  }
  return `${all.digest('base64')}-${parts}`;
}
