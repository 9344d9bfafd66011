import { Duration, Stack } from 'aws-cdk-lib';
import {
  Choice,
  Condition,
  CustomState,
  type IChainable,
  type RetryProps,
  Timeout,
} from 'aws-cdk-lib/aws-stepfunctions';
import { CallAwsService } from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import { IMAGE_TAGS } from '../../core/images/names.ts';
import { BAKE_STATES } from '../../core/workflow/states.ts';
import { catchAll } from './tasks.ts';

const CALL = Duration.seconds(60);
/** Faults of EC2, and of Step Functions as it calls it: 10 + 20 + 40 + 60 + 60 s. */
const RETRY: RetryProps = {
  errors: ['Ec2.SdkClientException', 'Ec2.Ec2Exception', 'States.Timeout'],
  interval: Duration.seconds(10),
  maxAttempts: 5,
  backoffRate: 2,
  maxDelay: Duration.seconds(60),
};

/**
 * Terminates the bake's instances where no function works: nothing of ours may be on them yet that would stop them. The
 * machine's role needs the permission of `terminateBuilders`.
 * @param bake an expression: its name
 */
export function terminateLeft(scope: Construct, bake: string, next: IChainable): IChainable {
  const found = CallAwsService.jsonata(scope, BAKE_STATES.findLeft, {
    comment: 'The clean-up failed: looks for the instances of the bake without a function.',
    service: 'ec2',
    action: 'describeInstances',
    parameters: {
      Filters: [
        { Name: `tag:${IMAGE_TAGS.bake}`, Values: [bake] },
        { Name: 'instance-state-name', Values: ['pending', 'running', 'stopping', 'stopped'] },
      ],
    },
    outputs: { ids: '{% [$states.result.Reservations.Instances.InstanceId] %}' },
    iamAction: 'ec2:DescribeInstances',
    iamResources: ['*'],
    taskTimeout: Timeout.duration(CALL),
  });
  // A CallAwsService would permit the call without its condition on the tag.
  const terminate = new CustomState(scope, BAKE_STATES.terminateLeft, {
    stateJson: {
      Type: 'Task',
      Resource: `arn:${Stack.of(scope).partition}:states:::aws-sdk:ec2:terminateInstances`,
      Arguments: { InstanceIds: '{% $states.input.ids %}' },
      Output: {},
      TimeoutSeconds: CALL.toSeconds(),
    },
  });
  for (const task of [found, terminate]) {
    task.addRetry(RETRY);
    catchAll(task, next);
  }
  const left = Choice.jsonata(scope, BAKE_STATES.left)
    .when(Condition.jsonata('{% $count($states.input.ids) > 0 %}'), terminate)
    .otherwise(next);
  terminate.next(next);
  return found.next(left);
}
