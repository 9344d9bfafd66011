import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { ARCHIVE_SUFFIX, executionNameForUpload, METADATA_KEY, UPLOAD_PREFIX } from '../core/names.ts';
import { InvalidSpec, parseSpec, type SpecInput } from '../core/spec.ts';

/** S3 takes 2 KB of metadata with an object, names included. */
const METADATA_BYTES = 2_048;

export interface Upload {
  readonly bucket: string;
  readonly key: string;
  /** null in a bucket without versions. */
  readonly versionId: string | null;
  /** Name of the execution that the upload starts: it is made from bucket, key and version alone. */
  readonly runId: string;
}

/**
 * Uploads an archive so that it starts a run by itself.
 * @param spec goes along as metadata; it wins over the archive's runctl.yaml
 * @throws InvalidSpec before anything is sent
 */
export async function uploadArchive(
  s3: Pick<S3Client, 'send'>,
  archive: { readonly file: string; readonly bucket: string; readonly project: string; readonly name: string },
  spec: SpecInput,
  signal?: AbortSignal,
): Promise<Upload> {
  const { bucket } = archive;
  const key = `${UPLOAD_PREFIX}${archive.project}/${archive.name}${ARCHIVE_SUFFIX}`;
  const command = new PutObjectCommand({
    Bucket: bucket,
    Key: key,
    Body: createReadStream(archive.file),
    ContentLength: (await stat(archive.file)).size,
    Metadata: { [METADATA_KEY]: specMetadata(spec) },
  });
  const { VersionId } = await s3.send(command, signal ? { abortSignal: signal } : {});
  const versionId = VersionId ?? null;
  return { bucket, key, versionId, runId: executionNameForUpload({ bucket, key, version: versionId ?? '' }) };
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
