import { Duration, type Stack } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import type { Config } from '../config.ts';
import { listRuns, measure } from '../iam/functions.ts';
import { target } from '../observability/dead-letters.ts';
import { StepLambda } from './step-lambda.ts';

/** Counts the running runs when one starts or ends: Step Functions has no such metric. */
export class RunCount extends Construct {
  constructor(stack: Stack, props: { config: Config; machine: StateMachine; deadLetters: IQueue }) {
    super(stack, 'RunCount');
    const { config, machine, deadLetters } = props;
    const countRuns = new StepLambda(this, 'count-runs', {
      config,
      description: 'Counts the running runs',
      environment: { runMachineArn: machine.stateMachineArn },
      permissions: [listRuns(stack), measure()],
      timeout: Duration.seconds(60),
      deadLetters,
    });
    new Rule(this, 'Rule', {
      description: 'Counts the running runs when one starts or ends',
      eventPattern: {
        source: ['aws.states'],
        detailType: ['Step Functions Execution Status Change'],
        detail: { stateMachineArn: [machine.stateMachineArn] },
      },
      targets: [target(countRuns.function, deadLetters)],
    });
  }
}
