import { createReadStream } from 'node:fs';
import { HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { Upload as MultipartUpload } from '@aws-sdk/lib-storage';
import { isAbort } from '../../aws/errors.ts';
import {
  type ArchiveLocation,
  archiveKey,
  executionNameForUpload,
  METADATA_KEY,
  UPLOAD_PREFIX,
} from '../../core/names.ts';
import { InvalidSpec, parseSpec, type SpecInput } from '../../core/spec/spec.ts';

/** S3 takes 2 KB of metadata with an object, names included. */
const METADATA_BYTES = 2_048;
/** Four parts are held in memory and on their way at once; 10,000 of them are 80 GB. */
const PART_BYTES = 8 * 1024 * 1024;
/** Metadata that says which bytes an object has: S3's own checksum of a large object is one of its parts' checksums. */
const SHA256_KEY = 'sha256';

/** A packed project on this machine. */
export interface LocalArchive {
  readonly file: string;
  /** Hex digest of the file. */
  readonly sha256: string;
  readonly bytes: number;
}

export interface UploadOptions {
  readonly signal?: AbortSignal;
  /** Bytes that have arrived. */
  readonly onProgress?: (bytes: number) => void;
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

/** Uploads an archive to where it starts nothing. What lies there already, from an earlier time, is not sent again. */
export async function storeArchive(
  s3: S3Client,
  archive: LocalArchive,
  to: { readonly bucket: string; readonly project: string },
  options: UploadOptions = {},
): Promise<ArchiveLocation & { readonly reused: boolean }> {
  const { bucket } = to;
  const key = archiveKey(to.project, archive.sha256);
  const there = await find(s3, archive, { bucket, key }, options.signal);
  if (there) return { bucket, key, versionId: there.versionId, reused: true };
  const metadata = { [SHA256_KEY]: archive.sha256 };
  return { bucket, key, versionId: await put(s3, archive, { bucket, key, metadata }, options), reused: false };
}

async function find(
  s3: S3Client,
  archive: LocalArchive,
  { bucket, key }: { bucket: string; key: string },
  signal?: AbortSignal,
): Promise<{ versionId: string | null } | null> {
  try {
    const head = await s3.send(
      new HeadObjectCommand({ Bucket: bucket, Key: key }),
      signal ? { abortSignal: signal } : {},
    );
    const same = head.ContentLength === archive.bytes && head.Metadata?.[SHA256_KEY] === archive.sha256;
    return same ? { versionId: head.VersionId ?? null } : null;
  } catch (error) {
    const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
    // Who may only upload may not look: then it is sent.
    if (status === 404 || status === 403) return null;
    throw error;
  }
}

/** @returns the version; null in a bucket without versions. */
async function put(
  s3: S3Client,
  archive: LocalArchive,
  to: { bucket: string; key: string; metadata: Record<string, string> },
  { signal, onProgress }: UploadOptions,
): Promise<string | null> {
  signal?.throwIfAborted();
  const body = createReadStream(archive.file);
  const upload = new MultipartUpload({
    client: s3,
    params: { Bucket: to.bucket, Key: to.key, Body: body, Metadata: to.metadata },
    partSize: PART_BYTES,
  });
  upload.on('httpUploadProgress', ({ loaded }) => onProgress?.(loaded ?? 0));
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
    body.destroy();
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
      `the options take ${ascii.length} bytes; an upload carries ${METADATA_BYTES - METADATA_KEY.length}. Put long args or env into runctl.yaml.`,
    );
  }
  return ascii;
}
