import { Duration, type Stack } from 'aws-cdk-lib';
import { Match, Rule } from 'aws-cdk-lib/aws-events';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { UPLOAD_PREFIX } from '../../core/names.ts';
import type { Config } from '../config.ts';
import { readArchives } from '../iam/functions.ts';
import { target } from '../observability/dead-letters.ts';
import { StepLambda } from './step-lambda.ts';

/** An upload below `uploads/` starts a run: S3 → EventBridge → start-run → StartExecution. */
export class UploadTrigger extends Construct {
  readonly startRun: StepLambda;

  constructor(stack: Stack, props: { config: Config; bucket: Bucket; machine: StateMachine; deadLetters: IQueue }) {
    super(stack, 'UploadTrigger');
    const { bucket, machine, deadLetters } = props;
    this.startRun = new StepLambda(this, 'start-run', {
      config: props.config,
      description: 'Starts a run for an upload, once for each version of an object, and for each time of a schedule',
      environment: { runMachineArn: machine.stateMachineArn, uploadBucket: bucket.bucketName },
      permissions: [
        ...readArchives(bucket, [UPLOAD_PREFIX]),
        { actions: ['states:StartExecution'], resources: [machine.stateMachineArn] },
      ],
      timeout: Duration.seconds(60),
      concurrency: props.config.uploadConcurrency,
      deadLetters,
    });
    new Rule(this, 'Rule', {
      description: 'Starts a run for each upload below uploads/',
      eventPattern: {
        source: ['aws.s3'],
        detailType: ['Object Created'],
        detail: { bucket: { name: [bucket.bucketName] }, object: { key: Match.prefix(UPLOAD_PREFIX) } },
      },
      targets: [target(this.startRun.function, deadLetters)],
    });
  }
}
