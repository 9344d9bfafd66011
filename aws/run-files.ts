import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { RunError } from '../core/errors.ts';
import type { RunFiles } from '../core/outcome/write-manifest.ts';
import { withAwsErrors } from './errors.ts';
import { getObject, headObject, putJson } from './objects.ts';
import { CLI_SETTINGS, CLIENT_SETTINGS } from './settings.ts';

const URL_SECONDS = 300;

/** What runs leave in the bucket. */
export function createRunFiles(bucket: string): RunFiles {
  // Presigned for any content: the instance sends what it has, without a checksum that would have to be known here.
  const s3 = new S3Client({ ...CLIENT_SETTINGS, requestChecksumCalculation: 'WHEN_REQUIRED' });
  return runFilesOver(s3, (command) => getSignedUrl(s3, command, { expiresIn: URL_SECONDS }), bucket);
}

/** Makes URLs that take one PUT of any content to a key, for a person's instance. Signed with the person's credentials. */
export function presignPutter(
  settings: ConstructorParameters<typeof S3Client>[0],
  bucket: string,
): (key: string) => Promise<string> {
  const s3 = new S3Client({ ...CLI_SETTINGS, ...settings, requestChecksumCalculation: 'WHEN_REQUIRED' });
  return (key) => getSignedUrl(s3, new PutObjectCommand({ Bucket: bucket, Key: key }), { expiresIn: URL_SECONDS });
}

/** @param sign makes a URL of the request that a command stands for */
export function runFilesOver(
  s3: Pick<S3Client, 'send'>,
  sign: (command: PutObjectCommand) => Promise<string>,
  bucket: string,
): RunFiles {
  return {
    bucket,
    presignPut: (key) => sign(new PutObjectCommand({ Bucket: bucket, Key: key })),

    async read(key) {
      const object = await getObject(s3, { bucket, key });
      if (object === null) throw new RunError('ServiceUnavailable', `there is no s3://${bucket}/${key}`);
      const body = object.Body?.transformToByteArray() ?? Promise.resolve(new Uint8Array());
      return withAwsErrors(`s3:GetObject of s3://${bucket}/${key}`, body);
    },
    exists: async (key) => (await headObject(s3, { bucket, key })) !== null,
    write: (key, text, options) => putJson(s3, { bucket, key }, text, options),
  };
}
