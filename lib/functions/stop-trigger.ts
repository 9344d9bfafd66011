import { Rule } from 'aws-cdk-lib/aws-events';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { target } from '../observability/dead-letters.ts';
import type { StepLambda } from './step-lambda.ts';

/** Abort and time-out run no Catch: EventBridge tells stop-run of them. The event may get lost; a run that finds the instance held then calls stop-run itself. */
export function stopEndedRuns(
  scope: Construct,
  props: { machine: StateMachine; stopRun: StepLambda; deadLetters: IQueue },
): void {
  new Rule(scope, 'StopRule', {
    description: 'Runs that were aborted, timed out, or failed without their own end are cleared up',
    eventPattern: {
      source: ['aws.states'],
      detailType: ['Step Functions Execution Status Change'],
      detail: {
        stateMachineArn: [props.machine.stateMachineArn],
        status: ['ABORTED', 'TIMED_OUT', 'FAILED'],
      },
    },
    targets: [target(props.stopRun.function, props.deadLetters)],
  });
}
