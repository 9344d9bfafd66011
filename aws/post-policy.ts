import { createHmac } from 'node:crypto';

export interface PostPolicy {
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string | undefined;
  };
  readonly region: string;
  readonly now: Date;
  readonly expiresIn: number;
  readonly bucket: string;
  /** What an uploader may choose; the fields that this function makes are added. */
  readonly conditions: readonly (Readonly<Record<string, string>> | readonly (string | number)[])[];
}

const ALGORITHM = 'AWS4-HMAC-SHA256';

/**
 * The fields of a form that S3 accepts until the policy expires.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
 */
export function signPostPolicy(options: PostPolicy): Record<string, string> {
  const { credentials, region, now, expiresIn, bucket, conditions } = options;
  const date = now.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = date.slice(0, 8);
  const signed: Record<string, string> = {
    'x-amz-algorithm': ALGORITHM,
    'x-amz-credential': `${credentials.accessKeyId}/${day}/${region}/s3/aws4_request`,
    'x-amz-date': date,
    ...(credentials.sessionToken === undefined ? {} : { 'x-amz-security-token': credentials.sessionToken }),
  };
  const policy = Buffer.from(
    JSON.stringify({
      expiration: new Date(now.getTime() + expiresIn * 1_000).toISOString(),
      conditions: [{ bucket }, ...conditions, ...Object.entries(signed).map(([name, value]) => ({ [name]: value }))],
    }),
  ).toString('base64');
  const key = signingKey(credentials.secretAccessKey, day, region);
  return { ...signed, policy, 'x-amz-signature': sign(key, policy).toString('hex') };
}

/** @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
export function signingKey(secret: string, day: string, region: string): Buffer {
  return [day, region, 's3', 'aws4_request'].reduce<Buffer>(sign, Buffer.from(`AWS4${secret}`));
}

export function sign(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
