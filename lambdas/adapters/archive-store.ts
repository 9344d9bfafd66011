import { GetObjectCommand, HeadObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { RunError } from '../../core/errors.ts';
import { type ArchiveLocation, archiveUri, METADATA_KEY } from '../../core/names.ts';
import { CLIENT_SETTINGS, errorName, translate } from './aws-errors.ts';

/** A leaked URL is dead soon, and one signed with a role's session never outlives it. */
const URL_SECONDS = 300;
const GONE = ['NoSuchKey', 'NoSuchVersion', 'NoSuchBucket', 'NotFound', 'MethodNotAllowed'];

export interface OpenArchive {
  readonly versionId: string | null;
  readonly size: number;
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
  // requestTimeout would cut a long download: a 500 MB archive streams for longer than a call may hang.
  const s3 = new S3Client({ ...CLIENT_SETTINGS, requestHandler: { connectionTimeout: 3_000 } });
  return archiveStoreOver(s3, (command) => getSignedUrl(s3, command, { expiresIn: URL_SECONDS }));
}

/** @param sign makes a URL of the request that a command stands for */
export function archiveStoreOver(
  s3: Pick<S3Client, 'send'>,
  sign: (command: GetObjectCommand) => Promise<string>,
): ArchiveStore {
  const input = (location: ArchiveLocation) => ({
    Bucket: location.bucket,
    Key: location.key,
    ...(location.versionId === null ? {} : { VersionId: location.versionId }),
  });
  const failed = (error: unknown, action: string, location: ArchiveLocation) =>
    GONE.includes(errorName(error))
      ? new RunError('ArchiveNotFound', `there is no ${archiveUri(location)}`)
      : translate(error, `${action} of ${archiveUri(location)}`);
  return {
    async currentVersion(location) {
      try {
        const head = await s3.send(new HeadObjectCommand(input(location)));
        return head.VersionId ?? null;
      } catch (error) {
        throw failed(error, 's3:GetObject', location);
      }
    },
    async open(location) {
      try {
        const object = await s3.send(new GetObjectCommand(input(location)));
        if (!object.Body) throw new RunError('ArchiveNotFound', `${archiveUri(location)} has no content`);
        return {
          versionId: object.VersionId ?? location.versionId,
          size: object.ContentLength ?? 0,
          metadata: object.Metadata?.[METADATA_KEY] ?? null,
          body: object.Body as AsyncIterable<Uint8Array>,
        };
      } catch (error) {
        throw failed(error, 's3:GetObject', location);
      }
    },
    presign: (location) => sign(new GetObjectCommand(input(location))),
  };
}
