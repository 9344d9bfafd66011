import {
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3';
import { httpStatus } from '../../aws/errors.ts';
import { type ArchiveIndex, decodeIndex } from '../../core/archive/archive-index.ts';
import {
  ARCHIVE_REUSE_DAYS,
  type ArchiveLocation,
  EXPIRING,
  INDEX_METADATA,
  INDEX_PREFIX,
  indexKey,
} from '../../core/names.ts';

/** An archive in S3. */
export interface StoredArchive extends ArchiveLocation {
  /** It was uploaded for a run alone. */
  readonly expires: boolean;
  /** It may be gone before a run that is started now is a month old. */
  readonly isOld: boolean;
}

/** Archives that a function has verified, by the indexes that it wrote. Who may only upload may not read them: then none is known. */
export class KnownArchives {
  constructor(
    private readonly s3: Pick<S3Client, 'send'>,
    private readonly to: { readonly bucket: string; readonly project: string },
    private readonly signal?: AbortSignal,
  ) {}

  /** Where an archive with this digest is, if it can be used. */
  async find(sha256: string, bytes: number): Promise<StoredArchive | null> {
    const { bucket, project } = this.to;
    const index = await unlessMissing(
      this.s3.send(new HeadObjectCommand({ Bucket: bucket, Key: indexKey(project, sha256) }), this.options()),
    );
    const key = index?.Metadata?.[INDEX_METADATA.key];
    const versionId = index?.Metadata?.[INDEX_METADATA.versionId];
    if (!key || !versionId) return null;
    return await this.check({ bucket, key: decodeURIComponent(key), versionId }, bytes);
  }

  /** The archive of the project that was verified last, if it still exists. */
  async latest(): Promise<ArchiveIndex | null> {
    const { bucket, project } = this.to;
    const list = new ListObjectsV2Command({ Bucket: bucket, Prefix: `${INDEX_PREFIX}${project}/` });
    const found = await unlessMissing(this.s3.send(list, this.options()));
    const times = (found?.Contents ?? []).map(({ Key = '', LastModified }) => ({
      Key,
      at: LastModified?.getTime() ?? 0,
    }));
    const newest = times.sort((a, b) => b.at - a.at)[0];
    if (newest === undefined) return null;
    const get = new GetObjectCommand({ Bucket: bucket, Key: newest.Key });
    const object = await unlessMissing(this.s3.send(get, this.options()));
    const index = decodeIndex((await object?.Body?.transformToByteArray()) ?? new Uint8Array());
    if (index === null) return null;
    return (await this.check({ bucket, ...index }, index.bytes)) === null ? null : index;
  }

  /** The same archive, if it is still there. Null without a version, which could be replaced. */
  async check({ bucket, key, versionId }: ArchiveLocation, bytes: number): Promise<StoredArchive | null> {
    if (versionId === null) return null;
    const head = new HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId });
    // 400 answers what cannot be a version.
    const found = await unlessMissing(this.s3.send(head, this.options()), 400);
    if (found?.ContentLength !== bytes) return null;
    // A version is there for a while after its archive has expired.
    const current = isOld(found) ? new HeadObjectCommand({ Bucket: bucket, Key: key }) : null;
    if (current !== null && (await unlessMissing(this.s3.send(current, this.options()))) === null) return null;
    return { bucket, key, versionId, expires: expires(found), isOld: isOld(found) };
  }

  private options(): { abortSignal?: AbortSignal } {
    return this.signal ? { abortSignal: this.signal } : {};
  }
}

/** null: there is no such object, or a person who may only upload may not read it. @param also other statuses that mean so */
export async function unlessMissing<T>(sent: Promise<T>, ...also: readonly number[]): Promise<T | null> {
  try {
    return await sent;
  } catch (error) {
    if ([403, 404, ...also].includes(httpStatus(error) ?? 0)) return null;
    throw error;
  }
}

type Head = Pick<HeadObjectCommandOutput, 'LastModified' | 'Metadata'>;

/** Whether an object was uploaded for a run alone. */
export function expires({ Metadata }: Head): boolean {
  return Metadata?.[EXPIRING.metadata] !== undefined;
}

/** Whether it expires soon, unless something names it. @param now epoch ms */
export function isOld({ LastModified }: Head, now = Date.now()): boolean {
  return now - (LastModified?.getTime() ?? now) > ARCHIVE_REUSE_DAYS * 86_400_000;
}
