import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  type Part,
  S3Client,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import {
  type OutputParts,
  PARTS_LIST,
  type PartList,
  type PartSizes,
  PartsBroken,
  partKey,
  readPartList,
  type SentParts,
} from '../core/outcome/output-parts.ts';
import { unless, withAwsErrors } from './errors.ts';
import { copySource, GONE, getObject, headObject, type S3 } from './objects.ts';
import { grantPosts } from './post-grant.ts';
import { CLIENT_SETTINGS } from './settings.ts';

/** UploadPartCopy at a time; between two looks at the clock come four times as many. */
const COPIES = 16;
const BATCH = 4 * COPIES;
/** A source is gone, or is not the one that was sent. */
const NOT_SENT = [...GONE, 'PreconditionFailed'];
/** Another call has completed it, or it was removed. */
const NO_UPLOAD = ['NoSuchUpload'];

export function createOutputParts(bucket: string, sizes: PartSizes): OutputParts {
  const s3 = new S3Client(CLIENT_SETTINGS);
  return outputPartsOver(s3, (prefix) => grantPosts(s3, bucket, prefix), bucket, sizes);
}

export function outputPartsOver(
  s3: S3,
  grant: OutputParts['grant'],
  bucket: string,
  { wholeBytes, partBytes, now = Date.now }: PartSizes & { now?: () => number },
): OutputParts {
  return {
    wholeBytes,
    partBytes,
    grant,
    async join(sent, to, uploadId, until) {
      const list = await readList(s3, bucket, sent);
      const target = { Bucket: bucket, Key: to };
      const action = `s3:PutObject of s3://${bucket}/${to}`;
      const UploadId =
        uploadId ?? (await withAwsErrors(action, s3.send(new CreateMultipartUploadCommand(target)))).UploadId ?? '';
      const upload = { ...target, UploadId };
      const copied = await copiedParts(s3, upload);
      if (copied === null) {
        // A call before this one completed it, and its answer was lost.
        if (await isThere(s3, bucket, to, sent.bytes)) return null;
        throw new PartsBroken('the upload that joins the parts was removed');
      }
      const numbers = list.etags.map((_, index) => index + 1);
      const missing = numbers.filter((number) => copied.get(number)?.etag !== list.etags[number - 1]);
      for (let at = 0; at < missing.length; at += BATCH) {
        const batch = missing.slice(at, at + BATCH);
        for (let from = 0; from < batch.length; from += COPIES) {
          const some = batch.slice(from, from + COPIES);
          await Promise.all(some.map((number) => copy(s3, upload, sent.prefix, number, list)));
        }
        if (now() >= until && at + BATCH < missing.length) return UploadId;
      }
      const Parts = list.etags.map((ETag, index) => ({ PartNumber: index + 1, ETag: `"${ETag}"` }));
      const complete = new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } });
      await unless(NO_UPLOAD, action, s3.send(complete));
      if (await isThere(s3, bucket, to, sent.bytes)) return null;
      throw new PartsBroken('the joined file has another size');
    },
  };
}

async function readList(s3: S3, bucket: string, { prefix, bytes, listEtag }: SentParts): Promise<PartList> {
  const key = `${prefix}${PARTS_LIST}`;
  const object = await getObject(s3, { bucket, key });
  if (object === null) throw new PartsBroken('the list of parts is missing in S3');
  if (object.ETag?.replaceAll('"', '') !== listEtag)
    throw new PartsBroken('the list of parts is another one than the instance sent');
  const text = object.Body?.transformToString() ?? Promise.resolve('');
  return readPartList(await withAwsErrors(`s3:GetObject of s3://${bucket}/${key}`, text), bytes);
}

/** The parts that an upload has, by number; null: there is no such upload. */
async function copiedParts(s3: S3, upload: { Bucket: string; Key: string; UploadId: string }) {
  const found = new Map<number, { etag: string }>();
  let PartNumberMarker: string | undefined;
  for (;;) {
    const listed = s3.send(new ListPartsCommand({ ...upload, PartNumberMarker }));
    const page = await unless(NO_UPLOAD, `s3:ListMultipartUploadParts of s3://${upload.Bucket}/${upload.Key}`, listed);
    if (page === null) return null;
    for (const { PartNumber = 0, ETag = '' } of (page.Parts ?? []) as Part[])
      found.set(PartNumber, { etag: ETag.replaceAll('"', '') });
    if (!page.IsTruncated) return found;
    PartNumberMarker = page.NextPartNumberMarker;
  }
}

async function copy(
  s3: S3,
  upload: { Bucket: string; Key: string; UploadId: string },
  prefix: string,
  number: number,
  { etags }: PartList,
): Promise<void> {
  const key = partKey(prefix, number);
  const command = new UploadPartCopyCommand({
    ...upload,
    PartNumber: number,
    CopySource: copySource({ bucket: upload.Bucket, key, versionId: null }),
    CopySourceIfMatch: `"${etags[number - 1]}"`,
  });
  const copied = await unless(NOT_SENT, `s3:GetObject of s3://${upload.Bucket}/${key}`, s3.send(command));
  if (copied === null) throw new PartsBroken(`the part ${number} is missing in S3, or is another one`);
}

async function isThere(s3: S3, bucket: string, key: string, bytes: number): Promise<boolean> {
  return (await headObject(s3, { bucket, key }))?.ContentLength === bytes;
}
