import { Duration } from 'aws-cdk-lib';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';

/** Receives events that could not be processed. */
export function createDeadLetterQueue(scope: Construct, id: string): Queue {
  return new Queue(scope, id, {
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: Duration.days(14),
  });
}

/** The target of a rule: an event that is not delivered within a day goes to the dead-letter queue. */
export function target(handler: IFunction, deadLetterQueue: IQueue): LambdaFunction {
  return new LambdaFunction(handler, { deadLetterQueue, maxEventAge: Duration.hours(24), retryAttempts: 185 });
}
