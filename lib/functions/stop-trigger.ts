import { type EventPattern, Rule } from 'aws-cdk-lib/aws-events';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { target } from '../observability/dead-letters.ts';
import type { StepLambda } from './step-lambda.ts';

/**
 * An abort or a timeout runs no Catch, so an EventBridge event invokes stop-run. Such events are delivered on a best-effort basis: a run that
 * finds the instance held by an ended run invokes stop-run itself.
 */
export function stopEndedRuns(
  scope: Construct,
  props: { machine: StateMachine; stopRun: StepLambda; deadLetters: IQueue },
): void {
  new Rule(scope, 'StopRule', {
    description: 'Cleans up after runs that were aborted, timed out, or failed',
    eventPattern: ended(props.machine, ['ABORTED', 'TIMED_OUT', 'FAILED']),
    targets: [target(props.stopRun.function, props.deadLetters)],
  });
}

/** The same for bakes: one that failed has cleaned up itself, unless that failed too. */
export function cleanUpEndedBakes(
  scope: Construct,
  props: { machine: StateMachine; cleanUpBake: StepLambda; deadLetters: IQueue },
): void {
  new Rule(scope, 'BakeRule', {
    description: 'Cleans up after bakes that were aborted, timed out, or failed',
    eventPattern: ended(props.machine, ['ABORTED', 'TIMED_OUT', 'FAILED']),
    targets: [target(props.cleanUpBake.function, props.deadLetters)],
  });
}

function ended(machine: StateMachine, status: string[]): EventPattern {
  return {
    source: ['aws.states'],
    detailType: ['Step Functions Execution Status Change'],
    detail: { stateMachineArn: [machine.stateMachineArn], status },
  };
}
