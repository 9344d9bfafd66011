/** GetProgram: the instance fetches the program by presigned URL, with this role's permission. */
const COMMANDS = ['SendCommand', 'GetCommandInvocation', 'GetProgram'];
/** Of a step that asks EC2 about an instance which does not answer. */
const JOB = [...COMMANDS, 'DescribeInstances'];
/** DescribeExecution: a look whose answer came late asks whether its run has ended before it sends log. */
const LOGS = ['CreateLogStream', 'CreateLogGroup', 'PutLogEvents', 'GetLogEvents', 'DescribeExecution'];
/** PutObject: what the instance sends by presigned URL has this role's permission. */
const FILES = ['PutObject', 'GetRunFile'];
/** Reads the checkpoints of a lineage, and that their parts are there. */
const CHECKPOINTS = ['GetCheckpoint', 'HeadCheckpoint', 'ListObjectsV2'];
const PRICES = ['GetProducts', 'DescribeSpotPriceHistory'];
const REMOVE_IMAGE = ['TerminateInstances', 'DescribeImages', 'DeregisterImage', 'DeleteSnapshot'];
const JOIN = ['CreateMultipartUpload', 'ListParts', 'UploadPartCopy', 'CompleteMultipartUpload'];
const END = [...COMMANDS, ...LOGS, ...FILES, 'HeadRunFile', ...JOIN, 'GetExecutionHistory'];

/** The calls of AWS that each function makes; the bundles have more, since some functions use a part of a client. */
export const CALLED = new Map<string, readonly string[]>([
  [
    'assemble-archive',
    [
      'GetObject',
      'HeadObject',
      'PutObject',
      'CreateMultipartUpload',
      'UploadPart',
      'UploadPartCopy',
      'CompleteMultipartUpload',
      'AbortMultipartUpload',
    ],
  ],
  // HeadObject: an old archive may have expired.
  ['verify-archive', ['GetObject', 'HeadObject', 'PutObject', 'GetDocument', ...CHECKPOINTS]],
  [
    'find-instance',
    [
      ...['DescribeInstances', 'DescribeInstanceInformation', 'DescribeInstanceAttribute'],
      ...['StartInstances', 'StartExecution', ...PRICES],
    ],
  ],
  // GetObject: the presigned URL carries this role's permission.
  ['sync-code', [...JOB, ...LOGS, 'GetObject', 'Invoke']],
  ['install-requirements', [...JOB, ...LOGS, ...FILES, 'GetEnvironment', 'ListObjectsV2']],
  ['restore-checkpoint', [...JOB, ...LOGS, ...FILES, ...CHECKPOINTS]],
  ['start-training', [...JOB, ...LOGS]],
  ['confirm-pid', [...JOB, ...LOGS, 'Invoke']],
  ['notify-run', [...FILES, 'HeadRunFile', 'Publish', 'PutMetricData']],
  [
    'summarize-run',
    [
      'GetRunFile',
      'PutObject',
      'CreateMultipartUpload',
      'UploadPart',
      'CompleteMultipartUpload',
      'AbortMultipartUpload',
    ],
  ],
  [
    'expire-archives',
    [
      'ListObjectsV2',
      'HeadArchive',
      'GetObjectTagging',
      'PutObjectTagging',
      'DeleteObjectTagging',
      'ListSchedules',
      'GetSchedule',
    ],
  ],
  ['note-interruption', ['PutObject']],
  ['count-runs', ['ListExecutions', 'PutMetricData']],
  ['poll-logs', [...JOB, ...LOGS, ...FILES, 'HeadRunFile', 'DeleteObjects', 'HeadEnvironment', 'PutMetricData']],
  ['check-instance', ['DescribeInstances']],
  [
    'plan-attempt',
    [
      'DescribeInstances',
      'DescribeInstanceInformation',
      ...PRICES,
      'DescribeExecution',
      'GetExecutionHistory',
      'GetNotice',
      ...CHECKPOINTS,
    ],
  ],
  ['finish-run', [...END, 'StartExecution']],
  ['stop-if-idle', [...JOB, 'StopInstances']],
  [
    'prepare-image',
    ['GetObject', 'GetDocument', 'DescribeLaunchTemplateVersions', 'DescribeLaunchTemplates', 'DescribeImages'],
  ],
  ['start-image-instance', ['RunInstances', 'DescribeInstances', 'DescribeInstanceInformation']],
  ['scrub-builder', JOB],
  ['create-image', ['CreateImage', 'DescribeImages', 'TerminateInstances']],
  ['publish-image', [...JOB, 'GetRunFile', 'CreateTags', 'PutParameter', ...REMOVE_IMAGE]],
  ['clean-up-bake', ['DescribeInstances', ...REMOVE_IMAGE]],
  ['stop-run', [...END, 'StartExecution', 'DeleteObjects', 'StopExecution']],
  ['start-run', ['HeadObject', 'StartExecution']],
]);
