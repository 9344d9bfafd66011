import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
} from '@aws-sdk/client-s3';
import { withAwsErrors } from './errors.ts';
import type { S3 } from './objects.ts';

/** What the request for a part needs. */
export interface PartTarget {
  readonly Bucket: string;
  readonly Key: string;
  readonly UploadId: string | undefined;
  readonly PartNumber: number;
}

/**
 * Writes an object in parts, and leaves nothing when a part fails.
 * @param sendParts calls `next` for each part, one after the other, with what sends it and returns its ETag
 * @returns the version
 */
export async function putParts(
  s3: S3,
  input: CreateMultipartUploadCommandInput & { Bucket: string; Key: string },
  sendParts: (next: (send: (part: PartTarget) => Promise<string | undefined>) => Promise<void>) => Promise<void>,
): Promise<string | null> {
  const target = { Bucket: input.Bucket, Key: input.Key };
  const action = `s3:PutObject of s3://${target.Bucket}/${target.Key}`;
  const { UploadId } = await withAwsErrors(action, s3.send(new CreateMultipartUploadCommand(input)));
  try {
    const Parts: CompletedPart[] = [];
    await sendParts(async (send) => {
      const PartNumber = Parts.length + 1;
      const ETag = await withAwsErrors(action, send({ ...target, UploadId, PartNumber }));
      Parts.push({ PartNumber, ETag });
    });
    const complete = new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } });
    return (await withAwsErrors(action, s3.send(complete))).VersionId ?? null;
  } catch (error) {
    // The first error is reported. What is left expires by the bucket's rule.
    await s3.send(new AbortMultipartUploadCommand({ ...target, UploadId })).catch(() => undefined);
    throw error;
  }
}
