import { Duration, TimeZone } from 'aws-cdk-lib';
import { Schedule, ScheduleExpression, ScheduleTargetInput } from 'aws-cdk-lib/aws-scheduler';
import { StepFunctionsStartExecution } from 'aws-cdk-lib/aws-scheduler-targets';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { STACK_NAME } from '../core/names.ts';
import type { ScheduleConfig } from './config.ts';

/** EventBridge schedules from the context of cdk.json. A run that is an hour late is not started any more. */
export class Schedules extends Construct {
  constructor(
    scope: Construct,
    props: { schedules: readonly ScheduleConfig[]; machine: StateMachine; deadLetters: IQueue },
  ) {
    super(scope, 'Schedules');
    for (const { name, expression, timezone, spec } of props.schedules) {
      new Schedule(this, name, {
        scheduleName: `${STACK_NAME}-${name}`,
        schedule: ScheduleExpression.expression(expression, TimeZone.of(timezone)),
        target: new StepFunctionsStartExecution(props.machine, {
          input: ScheduleTargetInput.fromObject(spec),
          deadLetterQueue: props.deadLetters,
          maxEventAge: Duration.hours(1),
          retryAttempts: 185,
        }),
      });
    }
  }
}
