import { type IRuleTarget, Match, Rule } from 'aws-cdk-lib/aws-events';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { MANIFEST, RUN_PREFIX } from '../../core/names.ts';

/** A run has ended when its manifest is written: S3 reports that by EventBridge. */
export function onManifest(
  scope: Construct,
  bucket: Bucket,
  { description, target }: { readonly description: string; readonly target: IRuleTarget },
): void {
  new Rule(scope, 'Rule', {
    description,
    eventPattern: {
      source: ['aws.s3'],
      detailType: ['Object Created'],
      detail: {
        bucket: { name: [bucket.bucketName] },
        object: { key: Match.wildcard(`${RUN_PREFIX}*/${MANIFEST}`) },
      },
    },
    targets: [target],
  });
}
