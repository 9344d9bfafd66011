import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { type ArchiveLocation, EXPIRING, EXPIRING_TAGGING } from '../core/names.ts';
import { toAwsError, unless, withAwsErrors, withSignal } from './errors.ts';

export type S3 = Pick<S3Client, 'send'>;

export interface ObjectLocation {
  readonly bucket: string;
  readonly key: string;
  readonly versionId?: string | null;
}

/** There is no such object; HEAD has no body that could name the error. A delete marker does not allow GET. */
export const GONE = ['NoSuchKey', 'NoSuchVersion', 'NoSuchBucket', 'NotFound', 'MethodNotAllowed'];
/** Another request was first: the condition If-None-Match or If-Match did not hold, or both were under way. */
const NOT_FIRST = ['PreconditionFailed', 'ConditionalRequestConflict'];

export function objectInput({ bucket, key, versionId }: ObjectLocation) {
  return { Bucket: bucket, Key: key, ...(versionId == null ? {} : { VersionId: versionId }) };
}

/** @param from first byte; @param to the byte after the last one, default: all. null: there is no such object */
export async function getObject(
  s3: S3,
  location: ObjectLocation,
  { from = 0, to, signal }: { from?: number; to?: number; signal?: AbortSignal | undefined } = {},
): Promise<GetObjectCommandOutput | null> {
  const range = from > 0 || to !== undefined ? { Range: `bytes=${from}-${to === undefined ? '' : to - 1}` } : {};
  const sent = s3.send(new GetObjectCommand({ ...objectInput(location), ...range }), withSignal(signal));
  return unless(GONE, `s3:GetObject of ${uriOf(location)}`, sent);
}

/** The bytes of an object. A connection that breaks in the middle is an error of S3 like any other. */
export async function* readBody(body: AsyncIterable<Uint8Array>, location: ObjectLocation): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw toAwsError(error, `s3:GetObject of ${uriOf(location)}`);
  }
}

/** null: there is no such object. */
export async function headObject(
  s3: S3,
  location: ObjectLocation,
  signal?: AbortSignal,
): Promise<HeadObjectCommandOutput | null> {
  const sent = s3.send(new HeadObjectCommand(objectInput(location)), withSignal(signal));
  return unless(GONE, `s3:GetObject of ${uriOf(location)}`, sent);
}

/**
 * @param when `onlyFirst`: only when there is no object of this key; `over`: only over the one with this ETag
 * @returns false when that does not hold
 */
export async function putJson(
  s3: S3,
  { bucket, key }: ObjectLocation,
  text: string,
  { onlyFirst, over }: { onlyFirst: boolean; over?: string },
): Promise<boolean> {
  const command = new PutObjectCommand({
    Bucket: bucket,
    Key: key,
    Body: text,
    ContentType: 'application/json',
    ...(onlyFirst ? { IfNoneMatch: '*' } : {}),
    ...(over === undefined ? {} : { IfMatch: `"${over}"` }),
  });
  const sent = s3.send(command);
  return (
    (await unless(
      onlyFirst || over !== undefined ? NOT_FIRST : [],
      `s3:PutObject of ${uriOf({ bucket, key })}`,
      sent,
    )) !== null
  );
}

/** One page of a bucket's keys: at most 1,000. @param token `next` of the page before */
export async function listObjects(
  s3: S3,
  bucket: string,
  prefix: string,
  { delimiter, token }: { delimiter?: string; token?: string | undefined } = {},
) {
  const page = { Prefix: prefix, Delimiter: delimiter, ContinuationToken: token };
  const listed = s3.send(new ListObjectsV2Command({ Bucket: bucket, ...page }));
  const {
    Contents = [],
    CommonPrefixes = [],
    NextContinuationToken,
  } = await withAwsErrors(`s3:ListBucket of ${bucket}`, listed);
  return {
    objects: Contents.map(({ Key = '', Size = 0, LastModified }) => ({
      key: Key,
      bytes: Size,
      modifiedAt: LastModified?.getTime() ?? null,
    })),
    prefixes: CommonPrefixes.map(({ Prefix = '' }) => Prefix),
    next: NextContinuationToken,
  };
}

function uriOf({ bucket, key, versionId }: ObjectLocation): string {
  return `s3://${bucket}/${key}${versionId == null ? '' : `?versionId=${versionId}`}`;
}

/** What marks a new object as one that expires. */
export function expiring(): { Tagging: string; Metadata: Record<string, string> } {
  return { Tagging: EXPIRING_TAGGING, Metadata: { [EXPIRING.metadata]: EXPIRING.tag.value } };
}

/** @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html for the form */
export function copySource({ bucket, key, versionId }: ArchiveLocation): string {
  const path = `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
  return versionId === null ? path : `${path}?versionId=${encodeURIComponent(versionId)}`;
}
