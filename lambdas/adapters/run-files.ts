import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { RunFiles } from '../../core/outcome/write-manifest.ts';
import { CLIENT_SETTINGS, errorName, translate } from './aws-errors.ts';
import { requireEnv } from './environment.ts';

const URL_SECONDS = 300;
const GONE = ['NoSuchKey', 'NotFound'];
/** Another request was first: the condition If-None-Match did not hold, or both were under way. */
const NOT_FIRST = ['PreconditionFailed', 'ConditionalRequestConflict'];

/** What runs leave in the bucket. */
export function createRunFiles(): RunFiles {
  // Presigned for any content: the instance sends what it has, without a checksum that we would have to know.
  const s3 = new S3Client({ ...CLIENT_SETTINGS, requestChecksumCalculation: 'WHEN_REQUIRED' });
  return runFilesOver(
    s3,
    (command) => getSignedUrl(s3, command, { expiresIn: URL_SECONDS }),
    requireEnv('uploadBucket'),
  );
}

/** @param sign makes a URL of the request that a command stands for */
export function runFilesOver(
  s3: Pick<S3Client, 'send'>,
  sign: (command: PutObjectCommand) => Promise<string>,
  Bucket: string,
): RunFiles {
  return {
    bucket: Bucket,
    presignPut: (Key) => sign(new PutObjectCommand({ Bucket, Key })),

    async read(Key) {
      try {
        const object = await s3.send(new GetObjectCommand({ Bucket, Key }));
        return (await object.Body?.transformToByteArray()) ?? new Uint8Array();
      } catch (error) {
        throw translate(error, `s3:GetObject of ${Key}`);
      }
    },

    async exists(Key) {
      try {
        await s3.send(new HeadObjectCommand({ Bucket, Key }));
        return true;
      } catch (error) {
        if (GONE.includes(errorName(error))) return false;
        throw translate(error, `s3:GetObject of ${Key}`);
      }
    },

    async write(Key, text, { onlyFirst }) {
      const command = new PutObjectCommand({
        Bucket,
        Key,
        Body: text,
        ContentType: 'application/json',
        ...(onlyFirst ? { IfNoneMatch: '*' } : {}),
      });
      try {
        await s3.send(command);
        return true;
      } catch (error) {
        if (onlyFirst && NOT_FIRST.includes(errorName(error))) return false;
        throw translate(error, `s3:PutObject of ${Key}`);
      }
    },
  };
}
