import { Duration, type Stack } from 'aws-cdk-lib';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { Config } from '../config.ts';
import { measure, notifyRuns } from '../iam/functions.ts';
import { target } from '../observability/dead-letters.ts';
import { onManifest } from './manifest-rule.ts';
import { StepLambda } from './step-lambda.ts';

/** A run has ended when its manifest is written. Path of the notification: S3 → EventBridge → notify-run → SNS. */
export class Notifier extends Construct {
  constructor(stack: Stack, props: { config: Config; bucket: Bucket; topic: ITopic; deadLetters: IQueue }) {
    super(stack, 'Notifier');
    const { config, bucket, topic, deadLetters } = props;
    const notifyRun = new StepLambda(this, 'notify-run', {
      config,
      description: 'Notifies about runs that started, ended, or wait for a long time',
      environment: { uploadBucket: bucket.bucketName, topicArn: topic.topicArn },
      permissions: [...notifyRuns(bucket, topic.topicArn), measure()],
      timeout: Duration.seconds(60),
      deadLetters,
    });
    onManifest(this, bucket, {
      description: 'Notifies about runs that have ended',
      target: target(notifyRun.function, deadLetters),
    });
  }
}
