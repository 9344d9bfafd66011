import { Duration } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { Config } from '../config.ts';
import { noteInterruptions } from '../iam/functions.ts';
import { target } from '../observability/dead-letters.ts';
import { StepLambda } from './step-lambda.ts';

/** Notes that EC2 takes a Spot Instance back: an instance may be gone before it has said so itself. */
export class InterruptionRule extends Construct {
  constructor(scope: Construct, props: { config: Config; bucket: Bucket; deadLetters: IQueue }) {
    super(scope, 'Interruption');
    const { config, bucket, deadLetters } = props;
    const noteInterruption = new StepLambda(this, 'note-interruption', {
      config,
      description: 'Notes that EC2 takes a Spot Instance back',
      environment: { uploadBucket: bucket.bucketName },
      permissions: [noteInterruptions(bucket)],
      timeout: Duration.seconds(60),
      deadLetters,
    });
    new Rule(this, 'Rule', {
      description: 'Notes that EC2 takes a Spot Instance back',
      eventPattern: { source: ['aws.ec2'], detailType: ['EC2 Spot Instance Interruption Warning'] },
      targets: [target(noteInterruption.function, deadLetters)],
    });
  }
}
