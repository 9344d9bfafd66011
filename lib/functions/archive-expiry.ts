import { Duration, type Stack } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { Config } from '../config.ts';
import { expireArchives } from '../iam/functions.ts';
import { target } from '../observability/dead-letters.ts';
import { StepLambda } from './step-lambda.ts';

/** Once a day: archives that nothing names are marked, and the rule of the bucket deletes them. */
export class ArchiveExpiry extends Construct {
  constructor(stack: Stack, props: { config: Config; bucket: Bucket; deadLetters: IQueue }) {
    super(stack, 'ArchiveExpiry');
    const { config, bucket, deadLetters } = props;
    const expire = new StepLambda(this, 'expire-archives', {
      config,
      description: 'Marks archives that no schedule names and no run used lately, so that they expire',
      environment: { uploadBucket: bucket.bucketName },
      permissions: expireArchives(stack, bucket),
      timeout: Duration.minutes(10),
      deadLetters,
    });
    new Rule(this, 'Rule', {
      description: 'Looks for archives that nothing names, once a day',
      schedule: Schedule.rate(Duration.days(1)),
      targets: [target(expire.function, deadLetters)],
    });
  }
}
