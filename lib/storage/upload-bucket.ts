import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { BlockPublicAccess, Bucket, BucketEncryption, type CfnBucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { ANNOUNCED_PREFIX, PIECE_PREFIX } from '../../core/names.ts';

/** Versions that nobody can start a run from any more, and uploads that never ended. */
const OLD_VERSIONS = Duration.days(30);
const UNFINISHED_UPLOADS = Duration.days(2);
/** Log that has gone to CloudWatch within seconds, and notes for events that come twice within minutes. */
const PASSING = Duration.days(1);

/** Archives in, logs and outputs out. Kept when the stack is deleted: it holds people's results. */
export function createUploadBucket(scope: Construct): Bucket {
  const bucket = new Bucket(scope, 'Uploads', {
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    encryption: BucketEncryption.S3_MANAGED,
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    versioned: true,
    // Not RETAIN: a first deployment that failed would leave a bucket that nobody has used.
    removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    lifecycleRules: [
      ...[PIECE_PREFIX, ANNOUNCED_PREFIX].map((prefix) => ({
        prefix,
        expiration: PASSING,
        noncurrentVersionExpiration: PASSING,
      })),
      { noncurrentVersionExpiration: OLD_VERSIONS, abortIncompleteMultipartUploadAfter: UNFINISHED_UPLOADS },
    ],
  });
  // The L2 property would add a custom resource with a Lambda of its own for what is one line of CloudFormation.
  (bucket.node.defaultChild as CfnBucket).notificationConfiguration = {
    eventBridgeConfiguration: { eventBridgeEnabled: true },
  };
  return bucket;
}
