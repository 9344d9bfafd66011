import { ArnFormat, type Stack } from 'aws-cdk-lib';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { CHECKPOINT_DATA_PREFIX, CHECKPOINT_PREFIX } from '../../core/checkpoints/keys.ts';
import { ENVIRONMENT_DATA_PREFIX, ENVIRONMENT_PREFIX } from '../../core/environments/keys.ts';
import {
  ARCHIVE_PREFIX,
  ASSET_PREFIX,
  ENABLED_TAG,
  INDEX_PREFIX,
  INTERRUPTED_PREFIX,
  LOG_CHUNK_PREFIX,
  MANAGED_TAG,
  MANIFEST,
  NOTIFIED_PREFIX,
  PATCH_PREFIX,
  POWER_MACHINE,
  RUN_LOG_GROUP,
  RUN_MACHINE,
  RUN_PREFIX,
  SCHEDULE_GROUP,
  scheduleName,
  UPLOAD_PREFIX,
  USE_PREFIX,
  WATCH_MACHINE,
} from '../../core/names.ts';
import { METRIC_NAMESPACE } from '../../core/notify/metrics.ts';
import {
  FILE_POINTS,
  LATER_LOG_FILES,
  LOG_FILE,
  METRICS_FILE,
  REPORT_FILE,
  SUMMARY_FILE,
  USAGE_FILE,
} from '../../core/results/files.ts';
import type { Permission } from './permission.ts';

/** Permissions of the Lambda functions, one function per task. A resource is `*` only where AWS supports no other. */

export function documentArn(stack: Stack, resourceName: string): string {
  return stack.formatArn({ service: 'ssm', resource: 'document', resourceName });
}

/** Finds the version of the document that runs a program. */
export function readDocument(stack: Stack, document: string): Permission {
  return { actions: ['ssm:GetDocument'], resources: [documentArn(stack, document)] };
}

/** Lets an instance GET the program, by presigned URL. The prefix has the stack's other assets too: the code of its functions. */
export function fetchProgram(stack: Stack, assetBucket: string): Permission {
  const programs = { service: 's3', region: '', account: '', resource: assetBucket };
  return {
    actions: ['s3:GetObject'],
    resources: [stack.formatArn({ ...programs, resourceName: `${ASSET_PREFIX}*.zip` })],
  };
}

/** Sends this document of ours, to instances with the tag runctl=enabled only. */
export function commandInstances(stack: Stack, document: string): Permission[] {
  return [
    { actions: ['ssm:SendCommand'], resources: [documentArn(stack, document)] },
    {
      actions: ['ssm:SendCommand'],
      resources: [instances(stack)],
      conditions: { StringEquals: { [`ssm:resourceTag/${ENABLED_TAG.key}`]: ENABLED_TAG.value } },
    },
    // Has no resource-level permissions.
    { actions: ['ssm:GetCommandInvocation'], resources: ['*'] },
  ];
}

/** Writes the jobs' logs, reads back what an attempt that died had written, and makes the group again when somebody has deleted it. */
export function writeRunLogs(stack: Stack): Permission[] {
  return [
    { actions: ['logs:CreateLogStream', 'logs:PutLogEvents', 'logs:GetLogEvents'], resources: [runLogStreams(stack)] },
    { actions: ['logs:CreateLogGroup'], resources: [logGroupArn(stack, RUN_LOG_GROUP), runLogStreams(stack)] },
  ];
}

export function runLogStreams(stack: Stack): string {
  return logGroupArn(stack, `${RUN_LOG_GROUP}:*`);
}

function logGroupArn(stack: Stack, resourceName: string): string {
  const arnFormat = ArnFormat.COLON_RESOURCE_NAME;
  return stack.formatArn({ service: 'logs', resource: 'log-group', resourceName, arnFormat });
}

/** Lets an instance PUT log on its way to CloudWatch, by presigned URL, and reads it. */
export function carryLogChunks(bucket: Bucket): Permission[] {
  return [{ actions: ['s3:PutObject', 's3:GetObject'], resources: [bucket.arnForObjects(`${LOG_CHUNK_PREFIX}*`)] }];
}

/** Lets the instance of a training POST its checkpoints, and commits, keeps and removes them. */
export function keepCheckpoints(bucket: Bucket): Permission[] {
  const resources = [CHECKPOINT_DATA_PREFIX, CHECKPOINT_PREFIX].map((prefix) => bucket.arnForObjects(`${prefix}*`));
  return [
    { actions: ['s3:PutObject', 's3:GetObject', 's3:DeleteObject'], resources },
    { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
  ];
}

/** Lets the instance of a training POST the environment of its install, and writes down what it has verified of it. */
export function storeEnvironments(bucket: Bucket): Permission {
  const resources = [ENVIRONMENT_DATA_PREFIX, ENVIRONMENT_PREFIX].map((prefix) => bucket.arnForObjects(`${prefix}*`));
  return { actions: ['s3:PutObject', 's3:GetObject'], resources };
}

/** Finds the environments of a project, and lets the instance GET one, by presigned URLs. */
export function restoreEnvironments(bucket: Bucket): Permission[] {
  return readPinned(bucket, { notes: ENVIRONMENT_PREFIX, data: ENVIRONMENT_DATA_PREFIX });
}

/** Reads notes, and the versions of the objects that they pin. */
function readPinned(bucket: Bucket, prefixes: { readonly notes: string; readonly data: string }): Permission[] {
  const data = bucket.arnForObjects(`${prefixes.data}*`);
  return [
    { actions: ['s3:GetObject'], resources: [data, bucket.arnForObjects(`${prefixes.notes}*`)] },
    { actions: ['s3:GetObjectVersion'], resources: [data] },
    { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
  ];
}

/** Notes that EC2 takes an instance back. */
export function noteInterruptions(bucket: Bucket): Permission {
  return { actions: ['s3:PutObject'], resources: [bucket.arnForObjects(`${INTERRUPTED_PREFIX}*`)] };
}

export function readInterruptions(bucket: Bucket): Permission {
  return { actions: ['s3:GetObject'], resources: [bucket.arnForObjects(`${INTERRUPTED_PREFIX}*`)] };
}

/** Finds a checkpoint to go on from, and that it is whole. */
export function readCheckpoints(bucket: Bucket): Permission[] {
  return readPinned(bucket, { notes: CHECKPOINT_PREFIX, data: CHECKPOINT_DATA_PREFIX });
}

/** Lets an instance GET a checkpoint, by presigned URLs, and notes which run goes on with it. */
export function restoreCheckpoints(bucket: Bucket): Permission[] {
  return [
    ...readCheckpoints(bucket),
    { actions: ['s3:PutObject'], resources: [bucket.arnForObjects(`${CHECKPOINT_PREFIX}*`)] },
  ];
}

/** What a run leaves behind: written by the instance, by presigned URL, and by the function itself. */
export function keepRunFiles(bucket: Bucket): Permission[] {
  return [
    { actions: ['s3:PutObject', 's3:GetObject'], resources: [bucket.arnForObjects(`${RUN_PREFIX}*`)] },
    { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
  ];
}

/** Joins the parts of a large file of a run, which the instance has sent beside the log chunks. */
export function joinOutputs(bucket: Bucket): Permission {
  return { actions: ['s3:ListMultipartUploadParts'], resources: [bucket.arnForObjects(`${RUN_PREFIX}*`)] };
}

/** Reads how a run ended. */
export function readManifests(bucket: Bucket): Permission {
  return { actions: ['s3:GetObject'], resources: [bucket.arnForObjects(`${RUN_PREFIX}*/${MANIFEST}`)] };
}

/** Reads manifests, and reads and writes the notes of sent notifications. */
export function notifyRuns(bucket: Bucket, topicArn: string): Permission[] {
  return [
    { actions: ['s3:GetObject'], resources: [bucket.arnForObjects(`${RUN_PREFIX}*`)] },
    { actions: ['s3:GetObject', 's3:PutObject'], resources: [bucket.arnForObjects(`${NOTIFIED_PREFIX}*`)] },
    { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
    { actions: ['sns:Publish'], resources: [topicArn] },
  ];
}

/** Reads what runs left of their metrics, and writes what it makes of it: not the manifest, and nothing of another name. */
export function summarizeRuns(bucket: Bucket): Permission[] {
  const ofRuns = (names: readonly string[]) => names.map((name) => bucket.arnForObjects(`${RUN_PREFIX}*/${name}`));
  return [
    {
      actions: ['s3:GetObject'],
      resources: ofRuns([MANIFEST, LOG_FILE, LATER_LOG_FILES, FILE_POINTS, USAGE_FILE, SUMMARY_FILE]),
    },
    {
      actions: ['s3:PutObject', 's3:AbortMultipartUpload'],
      resources: ofRuns([METRICS_FILE, REPORT_FILE, SUMMARY_FILE]),
    },
    { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
  ];
}

/** Reads what people have uploaded, and nothing else of the bucket; with ListBucket a missing key is 404 and not 403. */
export function readArchives(bucket: Bucket, prefixes = [UPLOAD_PREFIX, ARCHIVE_PREFIX]): Permission[] {
  const resources = prefixes.map((prefix) => bucket.arnForObjects(`${prefix}*`));
  return [
    { actions: ['s3:GetObject', 's3:GetObjectVersion'], resources },
    { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
  ];
}

/** Reads a patch and the archive that it is based on, and writes the archive that they make. */
export function assembleArchives(bucket: Bucket): Permission[] {
  return [
    ...readArchives(bucket, [PATCH_PREFIX, ARCHIVE_PREFIX]),
    {
      actions: ['s3:PutObject', 's3:PutObjectTagging', 's3:AbortMultipartUpload'],
      resources: [bucket.arnForObjects(`${ARCHIVE_PREFIX}*`)],
    },
  ];
}

/** Writes down the members of an archive that was verified, and that a run used it. */
export function writeIndexes(bucket: Bucket): Permission {
  const resources = [INDEX_PREFIX, USE_PREFIX].map((prefix) => bucket.arnForObjects(`${prefix}*`));
  return { actions: ['s3:PutObject'], resources };
}

/** Finds archives that nothing names, and marks them; the bucket's lifecycle rule deletes what is marked. */
export function expireArchives(stack: Stack, bucket: Bucket): Permission[] {
  const resourceName = `${SCHEDULE_GROUP}/${scheduleName('*')}`;
  const verbs = ['Get', 'Put', 'Delete'];
  return [
    { actions: ['s3:ListBucket'], resources: [bucket.bucketArn] },
    {
      actions: ['s3:GetObject', ...verbs.map((verb) => `s3:${verb}ObjectVersionTagging`)],
      resources: [bucket.arnForObjects(`${ARCHIVE_PREFIX}*`)],
    },
    // Has no resource-level permissions.
    { actions: ['scheduler:ListSchedules'], resources: ['*'] },
    {
      actions: ['scheduler:GetSchedule'],
      resources: [stack.formatArn({ service: 'scheduler', resource: 'schedule', resourceName })],
    },
  ];
}

/** The Describe calls have no resource-level permissions. */
export function describeInstances(): Permission {
  return { actions: ['ec2:DescribeInstances'], resources: ['*'] };
}

/** Starts instances with both tags only. */
export function startInstances(stack: Stack): Permission {
  return ofManaged(stack, 'ec2:StartInstances');
}

/** Whether a shutdown terminates the instance: a Describe call that has resource-level permissions. */
export function readShutdownBehavior(stack: Stack): Permission {
  return ofManaged(stack, 'ec2:DescribeInstanceAttribute');
}

/** Stops instances with both tags only. */
export function stopInstances(stack: Stack): Permission {
  return ofManaged(stack, 'ec2:StopInstances');
}

/** Begins what stops an instance later. */
export function watchPower(stack: Stack): Permission {
  return { actions: ['states:StartExecution'], resources: [powerMachineArn(stack)] };
}

function ofManaged(stack: Stack, action: string): Permission {
  const tags = [ENABLED_TAG, MANAGED_TAG].map(({ key, value }) => [`ec2:ResourceTag/${key}`, value]);
  return {
    actions: [action],
    resources: [instances(stack)],
    conditions: { StringEquals: Object.fromEntries(tags) },
  };
}

const instances = (stack: Stack) => stack.formatArn({ service: 'ec2', resource: 'instance', resourceName: '*' });

/** Prices are the same for everybody: neither call has resource-level permissions. */
export function readPrices(): Permission {
  return { actions: ['pricing:GetProducts', 'ec2:DescribeSpotPriceHistory'], resources: ['*'] };
}

export function describeAgents(): Permission {
  return { actions: ['ssm:DescribeInstanceInformation'], resources: ['*'] };
}

/** By name, not by reference: the machines themselves refer to the functions that ask. */
export function executionsOf(stack: Stack, machine: string): string {
  const arnFormat = ArnFormat.COLON_RESOURCE_NAME;
  return stack.formatArn({ service: 'states', resource: 'execution', resourceName: `${machine}:*`, arnFormat });
}

export function machineArn(stack: Stack, resourceName: string): string {
  const arnFormat = ArnFormat.COLON_RESOURCE_NAME;
  return stack.formatArn({ service: 'states', resource: 'stateMachine', resourceName, arnFormat });
}

export function runMachineArn(stack: Stack): string {
  return machineArn(stack, RUN_MACHINE);
}

export function watchMachineArn(stack: Stack): string {
  return machineArn(stack, WATCH_MACHINE);
}

export function powerMachineArn(stack: Stack): string {
  return machineArn(stack, POWER_MACHINE);
}

export function listRuns(stack: Stack): Permission {
  return { actions: ['states:ListExecutions'], resources: [runMachineArn(stack)] };
}

/** PutMetricData has no resources, but a namespace. */
export function measure(): Permission {
  return {
    actions: ['cloudwatch:PutMetricData'],
    resources: ['*'],
    conditions: { StringEquals: { 'cloudwatch:namespace': METRIC_NAMESPACE } },
  };
}

export function describeRuns(stack: Stack): Permission {
  return { actions: ['states:DescribeExecution'], resources: [executionsOf(stack, RUN_MACHINE)] };
}

/** The times of a run's states, and how far its nested watch came. */
export function readHistories(stack: Stack): Permission {
  return {
    actions: ['states:DescribeExecution', 'states:GetExecutionHistory'],
    resources: [executionsOf(stack, RUN_MACHINE), executionsOf(stack, WATCH_MACHINE)],
  };
}

/** How far a nested watch came that failed. */
export function readWatches(stack: Stack): Permission {
  return {
    actions: ['states:DescribeExecution', 'states:GetExecutionHistory'],
    resources: [executionsOf(stack, WATCH_MACHINE)],
  };
}

export function stopWatches(stack: Stack): Permission {
  return { actions: ['states:StopExecution'], resources: [executionsOf(stack, WATCH_MACHINE)] };
}

export function invokeFunction(stack: Stack, ...names: string[]): Permission {
  const arnFormat = ArnFormat.COLON_RESOURCE_NAME;
  const arnOf = (resourceName: string) =>
    stack.formatArn({ service: 'lambda', resource: 'function', resourceName, arnFormat });
  return { actions: ['lambda:InvokeFunction'], resources: names.map(arnOf) };
}
