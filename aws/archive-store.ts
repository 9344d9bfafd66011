import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { RunError } from '../core/errors.ts';
import { type ArchiveLocation, archiveUri, INDEX_METADATA, METADATA_KEY, useKey } from '../core/names.ts';
import { withAwsErrors } from './errors.ts';
import { getObject, headObject, objectInput, readBody } from './objects.ts';
import { CLIENT_SETTINGS } from './settings.ts';

/** A leaked URL is dead soon, and one signed with a role's session is never valid for longer than that. */
const URL_SECONDS = 300;

export interface OpenArchive {
  readonly versionId: string | null;
  readonly size: number;
  /** Epoch milliseconds; null: S3 did not say. */
  readonly modifiedAt: number | null;
  /** The upload's `x-amz-meta-runctl`, or null. */
  readonly metadata: string | null;
  readonly body: AsyncIterable<Uint8Array>;
}

export interface ArchiveStore {
  /** The version that a GET would read now; null in a bucket without versions. */
  currentVersion(location: ArchiveLocation): Promise<string | null>;
  open(location: ArchiveLocation): Promise<OpenArchive>;
  presign(location: ArchiveLocation): Promise<string>;
}

export function createArchiveStore(): ArchiveStore {
  // An upload may have a checksum of a kind that this SDK cannot compute; the archive's SHA-256 is computed here in any case.
  const s3 = new S3Client({ ...CLIENT_SETTINGS, responseChecksumValidation: 'WHEN_REQUIRED' });
  return archiveStoreOver(s3, (command) => getSignedUrl(s3, command, { expiresIn: URL_SECONDS }));
}

/** @param sign makes a URL of the request that a command stands for */
export function archiveStoreOver(
  s3: Pick<S3Client, 'send'>,
  sign: (command: GetObjectCommand) => Promise<string>,
): ArchiveStore {
  const found = <T>(object: T | null, location: ArchiveLocation): T => {
    if (object === null) throw new RunError('ArchiveNotFound', `there is no ${archiveUri(location)}`);
    return object;
  };
  return {
    async currentVersion(location) {
      return found(await headObject(s3, location), location).VersionId ?? null;
    },
    async open(location) {
      const object = found(await getObject(s3, location), location);
      if (!object.Body) throw new RunError('ArchiveNotFound', `${archiveUri(location)} has no content`);
      return {
        versionId: object.VersionId ?? location.versionId,
        size: object.ContentLength ?? 0,
        modifiedAt: object.LastModified?.getTime() ?? null,
        metadata: object.Metadata?.[METADATA_KEY] ?? null,
        body: readBody(object.Body as AsyncIterable<Uint8Array>, location),
      };
    },
    presign: (location) => sign(new GetObjectCommand(objectInput(location))),
  };
}

/** Where the members of verified archives are written down. */
export function createIndexStore(s3: Pick<S3Client, 'send'> = new S3Client(CLIENT_SETTINGS)) {
  return {
    /** @param of which archive; a HEAD of the index answers with it */
    async put(bucket: string, key: string, index: Buffer, of: ArchiveLocation): Promise<void> {
      const Metadata = {
        [INDEX_METADATA.key]: encodeURIComponent(of.key),
        [INDEX_METADATA.versionId]: of.versionId ?? '',
      };
      const sent = s3.send(
        new PutObjectCommand({ Bucket: bucket, Key: key, Body: index, ContentType: 'application/gzip', Metadata }),
      );
      await withAwsErrors(`s3:PutObject of s3://${bucket}/${key}`, sent);
    },
    /** Notes that a run uses an archive. */
    async noteUse(bucket: string, archiveKey: string): Promise<void> {
      const key = useKey(archiveKey);
      const sent = s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: '' }));
      await withAwsErrors(`s3:PutObject of s3://${bucket}/${key}`, sent);
    },
  };
}
