import { Duration, RemovalPolicy, Stack, TimeZone } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Schedule, ScheduleExpression, ScheduleGroup, ScheduleTargetInput } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { SCHEDULE_GROUP, scheduleName } from '../../core/names.ts';
import { scheduledStart } from '../../core/schedule/scheduled-start.ts';
import type { ScheduleConfig } from '../config.ts';
import { toPolicy } from '../iam/permission.ts';

/**
 * EventBridge schedules: those of the context in cdk.json, and a group and a role for those that people add later. A run that would start an
 * hour late is dropped.
 */
export class Schedules extends Construct {
  /** EventBridge Scheduler assumes this role to start runs. */
  readonly role: Role;

  constructor(
    scope: Construct,
    props: {
      schedules: readonly ScheduleConfig[];
      machine: StateMachine;
      startRun: IFunction;
      deadLetters: IQueue;
    },
  ) {
    super(scope, 'Schedules');
    const { machine, startRun, deadLetters } = props;
    // The name is fixed, so a retained group would block the next deployment.
    const scheduleGroup = new ScheduleGroup(this, 'Group', {
      scheduleGroupName: SCHEDULE_GROUP,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.role = this.createRole(scheduleGroup.scheduleGroupArn, { machine, startRun, deadLetters });
    const role = this.role.withoutPolicyUpdates();
    for (const { name, expression, timezone, spec } of props.schedules) {
      new Schedule(this, name, {
        scheduleName: scheduleName(name),
        scheduleGroup,
        schedule: ScheduleExpression.expression(expression, TimeZone.of(timezone)),
        target: new LambdaInvoke(startRun, {
          role,
          input: ScheduleTargetInput.fromObject(
            scheduledStart(scheduleName(name), { startedBy: `schedule ${name}`, ...spec }),
          ),
          deadLetterQueue: deadLetters,
          maxEventAge: Duration.hours(1),
          retryAttempts: 185,
        }),
      });
    }
  }

  /** Only schedules of the group `runctl` may assume the role. */
  private createRole(
    group: string,
    { machine, startRun, deadLetters }: { machine: StateMachine; startRun: IFunction; deadLetters: IQueue },
  ): Role {
    return new Role(this, 'Role', {
      description: 'EventBridge Scheduler starts runs of runctl',
      assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account, 'aws:SourceArn': group } },
      }),
      inlinePolicies: {
        start: toPolicy([
          { actions: ['lambda:InvokeFunction'], resources: [startRun.functionArn] },
          // For schedules that version 0.1 of the command made: they start the machine themselves.
          { actions: ['states:StartExecution'], resources: [machine.stateMachineArn] },
          { actions: ['sqs:SendMessage'], resources: [deadLetters.queueArn] },
        ]),
      },
    });
  }
}
