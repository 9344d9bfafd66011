import { Rule } from 'aws-cdk-lib/aws-events';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { target } from '../observability/dead-letters.ts';
import type { StepLambda } from './step-lambda.ts';

/**
 * An abort or a timeout runs no Catch, so an EventBridge event invokes the step. Such events are delivered on a best-effort basis: a run that
 * finds the instance held by an ended run invokes stop-run itself.
 * @param what the executions, in the plural
 */
export function cleanUpEnded(
  scope: Construct,
  id: string,
  props: { what: string; machine: StateMachine; step: StepLambda; deadLetters: IQueue },
): void {
  new Rule(scope, id, {
    description: `Cleans up after ${props.what} that were aborted, timed out, or failed`,
    eventPattern: {
      source: ['aws.states'],
      detailType: ['Step Functions Execution Status Change'],
      detail: {
        stateMachineArn: [props.machine.stateMachineArn],
        status: ['ABORTED', 'TIMED_OUT', 'FAILED'],
      },
    },
    targets: [target(props.step.function, props.deadLetters)],
  });
}
