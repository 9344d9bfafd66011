import { Duration, type Stack } from 'aws-cdk-lib';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { SUMMARIZE_MEMORY_MIB, SUMMARIZE_S } from '../../core/results/caps.ts';
import type { Config } from '../config.ts';
import { summarizeRuns } from '../iam/functions.ts';
import { target } from '../observability/dead-letters.ts';
import { onManifest } from './manifest-rule.ts';
import { StepLambda } from './step-lambda.ts';

/** Stores the metrics of a run that has ended: S3 → EventBridge → summarize-run → S3. */
export class Summarizer extends Construct {
  constructor(stack: Stack, props: { config: Config; bucket: Bucket; deadLetters: IQueue }) {
    super(stack, 'Summarizer');
    const { config, bucket, deadLetters } = props;
    const summarizeRun = new StepLambda(this, 'summarize-run', {
      config,
      description: 'Stores metrics, report and summary of a run that has ended',
      environment: { uploadBucket: bucket.bucketName },
      permissions: summarizeRuns(bucket),
      timeout: Duration.seconds(SUMMARIZE_S),
      memory: SUMMARIZE_MEMORY_MIB,
      deadLetters,
    });
    onManifest(this, bucket, {
      description: 'Stores the metrics of runs that have ended',
      target: target(summarizeRun.function, deadLetters),
    });
  }
}
