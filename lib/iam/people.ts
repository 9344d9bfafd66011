import { ArnFormat, Aws, type Stack } from 'aws-cdk-lib';
import { ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { CHECKPOINT_DATA_PREFIX, CHECKPOINT_PREFIX } from '../../core/checkpoints/keys.ts';
import {
  ARCHIVE_PREFIX,
  ASSEMBLE_FUNCTION,
  DOCUMENTS,
  FETCHED_PREFIX,
  INDEX_PREFIX,
  LOOK_DOCUMENT,
  MANAGED_POLICIES,
  PATCH_PREFIX,
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
  invokeFunction,
  listRuns,
  readDocument,
  readHistories,
  readShutdownBehavior,
  runLogStreams,
  runMachineArn,
  startInstances,
  stopInstances,
} from './functions.ts';
import { manageImages } from './images.ts';
import { type Permission, toPolicy } from './permission.ts';

/** As runctl 0.1.0 wrote them; never to be changed. */
const DESCRIPTIONS: Readonly<Record<keyof typeof MANAGED_POLICIES, string>> = {
  upload: 'runctl: may upload code, which then runs on the instance',
  watch: 'runctl: may upload code, start runs, watch them, and fetch what they left',
  operator: 'runctl: all that the command line does, among it to stop runs, schedule them, and ask the instance',
};

/** Managed policies for people, narrowest first. They have no effect until an administrator attaches them. */
export function createManagedPolicies(
  stack: Stack,
  props: { bucket: Bucket; assetBucket: string; scheduleRoleArn: string },
): void {
  const { bucket, assetBucket, scheduleRoleArn } = props;
  const watch = [...startRuns(stack, bucket), ...watchRuns(stack, bucket)];
  const policies: Record<keyof typeof MANAGED_POLICIES, Permission[]> = {
    // Uploads code, which then runs on the instance.
    upload: [readStack(stack), ...uploadArchives(bucket)],
    // Uploads code, starts runs, watches them, and downloads their outputs.
    watch: [readStack(stack), ...uploadArchives(bucket), ...watch],
    // Everything that the command line does: also stops and schedules runs, and sends requests to the instance.
    operator: [
      readStack(stack),
      ...uploadArchives(bucket),
      ...watch,
      ...operateRuns(stack, bucket, assetBucket),
      ...manageSchedules(stack, bucket, scheduleRoleArn),
      ...manageImages(stack),
    ],
  };
  for (const [key, permissions] of Object.entries(policies)) {
    new ManagedPolicy(stack, `Access-${key}`, {
      // IAM is global: stacks in two regions need different names.
      managedPolicyName: `${MANAGED_POLICIES[key as keyof typeof MANAGED_POLICIES]}-${Aws.REGION}`,
      // IAM cannot change a description: another text would require a replacement, which fails because the name is taken.
      description: DESCRIPTIONS[key as keyof typeof MANAGED_POLICIES],
      document: toPolicy(permissions),
    });
  }
}

/** Permissions of people, one function for each task. The resource is `*` only where AWS has no resource-level permission. */

/** The stack's outputs have the names of bucket, state machine and log group. */
function readStack(stack: Stack): Permission {
  const resourceName = `${STACK_NAME}/*`;
  return {
    actions: ['cloudformation:DescribeStacks'],
    resources: [stack.formatArn({ service: 'cloudformation', resource: 'stack', resourceName })],
  };
}

/** An object below `uploads/` starts a run, one below `archives/` or `patches/` does not. Not `runs/`, so that nobody can forge a result. */
function uploadArchives(bucket: Bucket): Permission[] {
  return [
    {
      actions: ['s3:PutObject', 's3:AbortMultipartUpload'],
      resources: [UPLOAD_PREFIX, ARCHIVE_PREFIX, PATCH_PREFIX].map((prefix) => bucket.arnForObjects(`${prefix}*`)),
    },
    // An archive for a run alone is tagged when it is written, and expires.
    { actions: ['s3:PutObjectTagging'], resources: [bucket.arnForObjects(`${ARCHIVE_PREFIX}*`)] },
  ];
}

function startRuns(stack: Stack, bucket: Bucket): Permission[] {
  return [
    { actions: ['states:StartExecution'], resources: [runMachineArn(stack)] },
    // To reuse an archive that was uploaded before, or parts of it.
    { actions: ['s3:GetObject', 's3:GetObjectVersion'], resources: [bucket.arnForObjects(`${ARCHIVE_PREFIX}*`)] },
    { actions: ['s3:GetObject'], resources: [bucket.arnForObjects(`${INDEX_PREFIX}*`)] },
    // To upload only what changed where no run follows. The function checks its input as that of a run.
    invokeFunction(stack, ASSEMBLE_FUNCTION),
  ];
}

function watchRuns(stack: Stack, bucket: Bucket): Permission[] {
  return [
    listRuns(stack),
    readHistories(stack),
    { actions: ['logs:GetLogEvents'], resources: [runLogStreams(stack)] },
    { actions: ['s3:GetObject'], resources: [bucket.arnForObjects(`${RUN_PREFIX}*`)] },
    // To list and fetch the checkpoints of a training.
    {
      actions: ['s3:GetObject'],
      resources: [CHECKPOINT_PREFIX, CHECKPOINT_DATA_PREFIX].map((prefix) => bucket.arnForObjects(`${prefix}*`)),
    },
    { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
    // To find the instance of a run and its SSM agent. No resource-level permissions.
    { actions: ['ec2:DescribeInstances', 'ssm:DescribeInstanceInformation'], resources: ['*'] },
  ];
}

/** Stops runs, starts and stops managed instances, and sends requests to the instance for `logs --live`, `pull` and `doctor`. */
function operateRuns(stack: Stack, bucket: Bucket, assetBucket: string): Permission[] {
  return [
    { actions: ['states:StopExecution'], resources: [executionsOf(stack, RUN_MACHINE)] },
    startInstances(stack),
    stopInstances(stack),
    readShutdownBehavior(stack),
    { actions: ['ssm:DescribeDocument'], resources: DOCUMENTS.map((name) => documentArn(stack, name)) },
    readDocument(stack, LOOK_DOCUMENT),
    fetchProgram(stack, assetBucket),
    // Files that an instance sends for `pull`, with a URL that the person signs.
    { actions: ['s3:PutObject', 's3:GetObject'], resources: [bucket.arnForObjects(`${FETCHED_PREFIX}*`)] },
    ...commandInstances(stack, LOOK_DOCUMENT),
  ];
}

function manageSchedules(stack: Stack, bucket: Bucket, scheduleRoleArn: string): Permission[] {
  const schedule = (resourceName: string) =>
    stack.formatArn({
      service: 'scheduler',
      resource: 'schedule',
      resourceName: `${SCHEDULE_GROUP}/${resourceName}`,
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    });
  return [
    // To pin the version of an upload. Those below archives/ are allowed to everybody who starts runs.
    { actions: ['s3:GetObject', 's3:GetObjectVersion'], resources: [bucket.arnForObjects(`${UPLOAD_PREFIX}*`)] },
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
