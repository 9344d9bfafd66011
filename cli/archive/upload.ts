import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { CopyObjectCommand, HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { Upload as MultipartUpload } from '@aws-sdk/lib-storage';
import { httpStatus, isAbort } from '../../aws/errors.ts';
import { copySource, expiring } from '../../aws/objects.ts';
import {
  type ArchiveLocation,
  archiveKey,
  EXPIRING,
  executionNameForUpload,
  METADATA_KEY,
  UPLOAD_PREFIX,
} from '../../core/names.ts';
import { InvalidSpec, parseSpec, type SpecInput } from '../../core/spec/spec.ts';
import type { PackCache, WrittenArchive } from './pack-cache.ts';

/** S3 takes 2 KB of metadata with an object, names included. */
const METADATA_BYTES = 2_048;
/** Four parts are held in memory and on their way at once; 10,000 of them are 80 GB. The checksum depends on it. */
export const PART_BYTES = 8 * 1024 * 1024;

/** A packed project on this machine. */
export interface LocalArchive extends WrittenArchive {
  /** The path of the archive, which may only now be made. */
  readonly file: () => Promise<string>;
  /** The archive that was packed before from the same folder. */
  readonly previous: PackCache | null;
  /** Keeps the archive for the next packing of the folder. @param stored where it is stored; null: not known */
  readonly keep: (stored: ArchiveLocation | null) => Promise<void>;
}

export interface UploadOptions {
  readonly signal?: AbortSignal;
  /** Bytes that have arrived, of how many. */
  readonly onProgress?: (bytes: number, total: number) => void;
}

/** An upload, and the name of the execution that it starts: made from bucket, key and version alone. */
export interface StartingUpload extends ArchiveLocation {
  readonly runId: string;
}

/**
 * Uploads an archive so that it starts a run by itself.
 * @param spec goes along as metadata; it wins over the archive's runctl.yaml
 * @throws InvalidSpec before anything is sent
 */
export async function uploadArchive(
  s3: S3Client,
  archive: LocalArchive,
  to: { readonly bucket: string; readonly project: string; readonly spec: SpecInput },
  options: UploadOptions = {},
): Promise<StartingUpload> {
  const { bucket } = to;
  const key = archiveKey(to.project, archive.sha256, UPLOAD_PREFIX);
  const versionId = await put(
    s3,
    archive,
    { bucket, key, metadata: { [METADATA_KEY]: specMetadata(to.spec) } },
    options,
  );
  return { bucket, key, versionId, runId: executionNameForUpload({ bucket, key, version: versionId ?? '' }) };
}

/** Copies an archive within S3 so that it starts a run. */
export async function copyUpload(
  s3: Pick<S3Client, 'send'>,
  { sha256 }: Pick<LocalArchive, 'sha256'>,
  from: ArchiveLocation,
  to: { readonly project: string; readonly spec: SpecInput },
): Promise<StartingUpload> {
  const { bucket } = from;
  const key = archiveKey(to.project, sha256, UPLOAD_PREFIX);
  const { VersionId } = await s3.send(
    new CopyObjectCommand({
      Bucket: bucket,
      Key: key,
      CopySource: copySource(from),
      MetadataDirective: 'REPLACE',
      Metadata: { [METADATA_KEY]: specMetadata(to.spec) },
      TaggingDirective: 'REPLACE',
    }),
  );
  const versionId = VersionId ?? null;
  return { bucket, key, versionId, runId: executionNameForUpload({ bucket, key, version: versionId ?? '' }) };
}

/**
 * Uploads a whole archive to where it starts nothing. An object that is at its key already is left alone: the archive gets a
 * key of its own.
 */
export async function putArchive(
  s3: S3Client,
  archive: LocalArchive,
  { bucket, project, expires }: { readonly bucket: string; readonly project: string; readonly expires: boolean },
  options: UploadOptions = {},
): Promise<ArchiveLocation> {
  const key = archiveKey(project, archive.sha256);
  const putNew = (to: string) => put(s3, archive, { bucket, key: to, isNew: true, expires }, options);
  try {
    return { bucket, key, versionId: await putNew(key) };
  } catch (error) {
    if (httpStatus(error) !== 412) throw error;
  }
  const ownKey = ownArchiveKey(project, archive.sha256);
  return { bucket, key: ownKey, versionId: await putNew(ownKey) };
}

/** Copies an archive within S3 to a key of its own, where it is new. */
export async function copyArchive(
  s3: Pick<S3Client, 'send'>,
  archive: ArchiveLocation,
  to: { readonly project: string; readonly sha256: string; readonly expires: boolean },
): Promise<ArchiveLocation> {
  const { bucket } = archive;
  const source = { Bucket: bucket, Key: archive.key, ...(archive.versionId ? { VersionId: archive.versionId } : {}) };
  const { Metadata = {} } = await s3.send(new HeadObjectCommand(source));
  const { [EXPIRING.metadata]: _mark, ...metadata } = Metadata;
  const key = ownArchiveKey(to.project, to.sha256);
  const copy = (marks: Partial<ReturnType<typeof expiring>>) =>
    s3.send(
      new CopyObjectCommand({
        Bucket: bucket,
        Key: key,
        CopySource: copySource(archive),
        MetadataDirective: 'REPLACE',
        Metadata: { ...metadata, ...marks.Metadata },
        TaggingDirective: 'REPLACE',
        ...(marks.Tagging === undefined ? {} : { Tagging: marks.Tagging }),
      }),
    );
  const { VersionId } = to.expires
    ? await orUnmarked(
        () => copy(expiring()),
        () => copy({}),
      )
    : await copy({});
  return { bucket, key, versionId: VersionId ?? null };
}

/** A key that nobody can know before. */
export function ownArchiveKey(project: string, sha256: string): string {
  return archiveKey(project, `${sha256.slice(0, 12)}${randomBytes(2).toString('hex')}`);
}

/** @returns the version; null in a bucket without versions. */
async function put(
  s3: S3Client,
  archive: Pick<LocalArchive, 'file' | 'bytes'>,
  to: PutTo,
  options: UploadOptions,
): Promise<string | null> {
  const unmarked = () => putOnce(s3, archive, { ...to, expires: false }, options);
  return to.expires === true ? await orUnmarked(() => putOnce(s3, archive, to, options), unmarked) : await unmarked();
}

/** Whoever may not tag objects writes an archive that stays until it is not used. */
async function orUnmarked<T>(marked: () => Promise<T>, unmarked: () => Promise<T>): Promise<T> {
  try {
    return await marked();
  } catch (error) {
    if (httpStatus(error) !== 403) throw error;
    return await unmarked();
  }
}

interface PutTo {
  readonly bucket: string;
  readonly key: string;
  readonly metadata?: Record<string, string>;
  /** Nothing may be at the key. */
  readonly isNew?: boolean;
  /** Nobody but a run names the object. */
  readonly expires?: boolean;
}

async function putOnce(
  s3: S3Client,
  archive: Pick<LocalArchive, 'file' | 'bytes'>,
  to: PutTo,
  options: UploadOptions,
): Promise<string | null> {
  const body = createReadStream(await archive.file());
  try {
    return await putBytes(s3, body, { ...to, bytes: archive.bytes }, options);
  } finally {
    body.destroy();
  }
}

/** @returns the version; null in a bucket without versions. */
export async function putBytes(
  s3: S3Client,
  body: Readable | Buffer,
  to: PutTo & { readonly bytes: number },
  { signal, onProgress }: UploadOptions,
): Promise<string | null> {
  signal?.throwIfAborted();
  const upload = new MultipartUpload({
    client: s3,
    params: {
      Bucket: to.bucket,
      Key: to.key,
      Body: body,
      ChecksumAlgorithm: 'SHA256',
      ...(to.metadata ? { Metadata: to.metadata } : {}),
      ...(to.expires === true ? expiring() : {}),
      ...(to.isNew ? { IfNoneMatch: '*' } : {}),
    },
    partSize: PART_BYTES,
  });
  upload.on('httpUploadProgress', ({ loaded }) => onProgress?.(loaded ?? 0, to.bytes));
  const abort = () => void upload.abort();
  signal?.addEventListener('abort', abort);
  try {
    const { VersionId } = await upload.done();
    return VersionId ?? null;
  } catch (error) {
    if (isAbort(error)) signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/**
 * The value of `x-amz-meta-runctl`: JSON in ASCII, since a header carries nothing else.
 * @throws InvalidSpec when a key is wrong, or all of them are too long for metadata
 */
export function specMetadata(spec: SpecInput): string {
  const json = JSON.stringify(parseSpec(spec, 'the options'));
  const ascii = json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  if (ascii.length + METADATA_KEY.length > METADATA_BYTES) {
    throw new InvalidSpec(
      `the options take ${ascii.length} bytes, and the metadata of an upload holds ${METADATA_BYTES - METADATA_KEY.length}. Put long args or env into runctl.yaml.`,
    );
  }
  return ascii;
}
