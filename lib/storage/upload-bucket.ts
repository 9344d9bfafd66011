import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { BlockPublicAccess, Bucket, BucketEncryption, type CfnBucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { CHECKPOINT_DATA_PREFIX, CHECKPOINT_PREFIX } from '../../core/checkpoints/keys.ts';
import { ENVIRONMENT_DATA_PREFIX, ENVIRONMENT_DAYS, ENVIRONMENT_PREFIX } from '../../core/environments/keys.ts';
import {
  ARCHIVE_DAYS,
  ARCHIVE_PREFIX,
  EXPIRING,
  FETCHED_PREFIX,
  INDEX_PREFIX,
  INTERRUPTED_PREFIX,
  LOG_CHUNK_PREFIX,
  NOTIFIED_PREFIX,
  PATCH_PREFIX,
  USE_PREFIX,
  VERSION_DAYS,
} from '../../core/names.ts';

/** Versions that were replaced or deleted, and multipart uploads that were not completed. */
const OLD_VERSIONS = Duration.days(VERSION_DAYS);
const UNFINISHED_UPLOADS = Duration.days(2);
/** Log chunks are shipped within seconds; records of sent notifications are needed for minutes, when S3 delivers an event twice. */
const TEMPORARY = Duration.days(1);
/** Holds archives, logs and outputs. It is retained when the stack is deleted, because it holds people's results. */
export function createUploadBucket(scope: Construct): Bucket {
  const bucket = new Bucket(scope, 'Uploads', {
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    encryption: BucketEncryption.S3_MANAGED,
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    versioned: true,
    // Unlike RETAIN, this deletes the unused bucket of a failed first deployment.
    removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    lifecycleRules: [
      // A patch is read once, when its run starts.
      ...[LOG_CHUNK_PREFIX, NOTIFIED_PREFIX, INTERRUPTED_PREFIX, PATCH_PREFIX, FETCHED_PREFIX].map((prefix) => ({
        prefix,
        expiration: TEMPORARY,
        noncurrentVersionExpiration: TEMPORARY,
      })),
      // Written again by every run of the archive.
      ...[INDEX_PREFIX, USE_PREFIX].map((prefix) => ({
        prefix,
        expiration: Duration.days(ARCHIVE_DAYS),
        noncurrentVersionExpiration: TEMPORARY,
      })),
      {
        prefix: ARCHIVE_PREFIX,
        tagFilters: { [EXPIRING.tag.key]: EXPIRING.tag.value },
        expiration: Duration.days(ARCHIVE_DAYS),
        noncurrentVersionExpiration: OLD_VERSIONS,
      },
      // A run that uses an environment stores it again before.
      ...[ENVIRONMENT_DATA_PREFIX, ENVIRONMENT_PREFIX].map((prefix) => ({
        prefix,
        expiration: Duration.days(ENVIRONMENT_DAYS),
        noncurrentVersionExpiration: TEMPORARY,
      })),
      // What retention has removed: checkpoints are large.
      ...[CHECKPOINT_DATA_PREFIX, CHECKPOINT_PREFIX].map((prefix) => ({
        prefix,
        noncurrentVersionExpiration: TEMPORARY,
      })),
      { noncurrentVersionExpiration: OLD_VERSIONS, abortIncompleteMultipartUploadAfter: UNFINISHED_UPLOADS },
    ],
  });
  // The L2 property would add a custom resource with a function, for one line of CloudFormation.
  (bucket.node.defaultChild as CfnBucket).notificationConfiguration = {
    eventBridgeConfiguration: { eventBridgeEnabled: true },
  };
  return bucket;
}
