import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { signPostPolicy } from './post-policy.ts';

const GRANT_S = 300;
/** Of one POST: S3 takes no more. */
const MAX_POST_BYTES = 5 * 1024 ** 3;

/** The right to POST objects whose keys have a beginning, until the policy expires. */
export interface PostGrant {
  readonly url: string;
  /** Of the form, the signed policy among them. The sender adds `key` and `Content-MD5`. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Signed with the function's role, which may write objects of this beginning alone. */
export async function grantPosts(s3: S3Client, bucket: string, prefix: string, now = new Date()): Promise<PostGrant> {
  const [credentials, region, url] = await Promise.all([
    s3.config.credentials(),
    s3.config.region(),
    getSignedUrl(s3, new GetObjectCommand({ Bucket: bucket, Key: 'x' })),
  ]);
  const fields = signPostPolicy({
    credentials,
    region,
    now,
    expiresIn: GRANT_S,
    bucket,
    conditions: [
      ['starts-with', '$key', prefix],
      ['starts-with', '$Content-MD5', ''],
      ['content-length-range', 0, MAX_POST_BYTES],
    ],
  });
  return { url: url.replace(/x\?.*$/s, ''), fields };
}
