import { ArnFormat, type Stack } from 'aws-cdk-lib';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import {
  ENABLED_TAG,
  JOB_DOCUMENT,
  PREPARE_DOCUMENT,
  PREPARE_INSTALL_DOCUMENT,
  RUN_LOG_GROUP,
  RUN_MACHINE,
} from '../core/names.ts';
import type { Permission } from './step-lambda.ts';

/** What the steps may do, a function a task. A `*` as resource stands only where AWS offers nothing else. */

/** Sends exactly our documents, to instances with the tag runctl=enabled only. */
export function commandInstances(stack: Stack): Permission[] {
  const document = (resourceName: string) => stack.formatArn({ service: 'ssm', resource: 'document', resourceName });
  return [
    {
      actions: ['ssm:SendCommand'],
      resources: [PREPARE_DOCUMENT, PREPARE_INSTALL_DOCUMENT, JOB_DOCUMENT].map(document),
    },
    {
      actions: ['ssm:SendCommand'],
      resources: [stack.formatArn({ service: 'ec2', resource: 'instance', resourceName: '*' })],
      conditions: { StringEquals: { [`ssm:resourceTag/${ENABLED_TAG.key}`]: ENABLED_TAG.value } },
    },
    // Has no resource-level permissions.
    { actions: ['ssm:GetCommandInvocation'], resources: ['*'] },
  ];
}

/** Writes the jobs' logs, and reads back what an attempt that died had written. */
export function writeRunLogs(stack: Stack): Permission[] {
  const streams = stack.formatArn({
    service: 'logs',
    resource: 'log-group',
    resourceName: `${RUN_LOG_GROUP}:*`,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
  return [{ actions: ['logs:CreateLogStream', 'logs:PutLogEvents', 'logs:GetLogEvents'], resources: [streams] }];
}

/** Reads any archive of the bucket; with ListBucket a missing key is 404 and not 403. */
export function readArchives(bucket: Bucket): Permission[] {
  return [
    { actions: ['s3:GetObject', 's3:GetObjectVersion'], resources: [bucket.arnForObjects('*')] },
    { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
  ];
}

/** The Describe calls have no resource-level permissions. */
export function describeInstances(): Permission {
  return { actions: ['ec2:DescribeInstances'], resources: ['*'] };
}

export function describeAgents(): Permission {
  return { actions: ['ssm:DescribeInstanceInformation'], resources: ['*'] };
}

/** By name, not by reference: the machine itself refers to the functions that ask. */
export function describeRuns(stack: Stack): Permission {
  const resourceName = `${RUN_MACHINE}:*`;
  const arnFormat = ArnFormat.COLON_RESOURCE_NAME;
  const executions = stack.formatArn({ service: 'states', resource: 'execution', resourceName, arnFormat });
  return { actions: ['states:DescribeExecution'], resources: [executions] };
}
