import { Duration } from 'aws-cdk-lib';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';

/** Receives the events that could not start a run, clean up after one, or notify about one. */
export function createDeadLetterQueue(scope: Construct): Queue {
  return new Queue(scope, 'DeadLetters', {
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: Duration.days(14),
  });
}

/** The target of a rule: an event that is not delivered within a day goes to the dead-letter queue. */
export function target(handler: IFunction, deadLetterQueue: IQueue): LambdaFunction {
  return new LambdaFunction(handler, { deadLetterQueue, maxEventAge: Duration.hours(24), retryAttempts: 185 });
}
