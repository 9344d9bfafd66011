import { ArnFormat, type Stack } from 'aws-cdk-lib';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import {
  ARCHIVE_PREFIX,
  DOCUMENTS,
  LOOK_DOCUMENT,
  RUN_MACHINE,
  RUN_PREFIX,
  SCHEDULE_GROUP,
  STACK_NAME,
  scheduleName,
  UPLOAD_PREFIX,
} from '../../core/names.ts';
import {
  commandInstances,
  documentArn,
  executionsOf,
  fetchProgram,
  listRuns,
  readDocument,
  readHistories,
  runLogStreams,
  runMachineArn,
} from './functions.ts';
import type { Permission } from './permission.ts';

/** Permissions of people, one function for each task. The resource is `*` only where AWS has no resource-level permission. */

/** The stack's outputs have the names of bucket, state machine and log group. */
export function readStack(stack: Stack): Permission {
  const resourceName = `${STACK_NAME}/*`;
  return {
    actions: ['cloudformation:DescribeStacks'],
    resources: [stack.formatArn({ service: 'cloudformation', resource: 'stack', resourceName })],
  };
}

/** An object below `uploads/` starts a run, one below `archives/` does not. Not `runs/`, so that nobody can forge a result. */
export function uploadArchives(bucket: Bucket): Permission {
  return {
    actions: ['s3:PutObject', 's3:AbortMultipartUpload'],
    resources: [UPLOAD_PREFIX, ARCHIVE_PREFIX].map((prefix) => bucket.arnForObjects(`${prefix}*`)),
  };
}

export function startRuns(stack: Stack, bucket: Bucket): Permission[] {
  return [
    { actions: ['states:StartExecution'], resources: [runMachineArn(stack)] },
    // To reuse an archive that was uploaded before.
    { actions: ['s3:GetObject', 's3:GetObjectVersion'], resources: [bucket.arnForObjects(`${ARCHIVE_PREFIX}*`)] },
  ];
}

export function watchRuns(stack: Stack, bucket: Bucket): Permission[] {
  return [
    listRuns(stack),
    readHistories(stack),
    { actions: ['logs:GetLogEvents', 'logs:FilterLogEvents'], resources: [runLogStreams(stack)] },
    { actions: ['s3:GetObject'], resources: [bucket.arnForObjects(`${RUN_PREFIX}*`)] },
    { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
    // To find the instance of a run and its SSM agent. No resource-level permissions.
    { actions: ['ec2:DescribeInstances', 'ssm:DescribeInstanceInformation'], resources: ['*'] },
  ];
}

/** Stops runs, and asks the instance itself, for `logs --live` and `doctor`: by a document that changes nothing there. */
export function operateRuns(stack: Stack, assetBucket: string): Permission[] {
  return [
    { actions: ['states:StopExecution'], resources: [executionsOf(stack, RUN_MACHINE)] },
    { actions: ['ssm:DescribeDocument'], resources: DOCUMENTS.map((name) => documentArn(stack, name)) },
    readDocument(stack, LOOK_DOCUMENT),
    fetchProgram(stack, assetBucket),
    ...commandInstances(stack, LOOK_DOCUMENT),
  ];
}

export function manageSchedules(stack: Stack, scheduleRoleArn: string): Permission[] {
  const schedule = (resourceName: string) =>
    stack.formatArn({
      service: 'scheduler',
      resource: 'schedule',
      resourceName: `${SCHEDULE_GROUP}/${resourceName}`,
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    });
  return [
    {
      actions: ['Create', 'Update', 'Get', 'Delete'].map((verb) => `scheduler:${verb}Schedule`),
      resources: [schedule(scheduleName('*'))],
    },
    { actions: ['scheduler:ListSchedules'], resources: ['*'] },
    {
      actions: ['iam:PassRole'],
      resources: [scheduleRoleArn],
      conditions: { StringEquals: { 'iam:PassedToService': 'scheduler.amazonaws.com' } },
    },
  ];
}
