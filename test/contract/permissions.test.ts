import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataPrefix, manifestKey } from '../../core/checkpoints/keys.ts';
import { environmentDataPrefix, environmentManifestKey } from '../../core/environments/keys.ts';
import { IMAGE_TAGS, imageParameter } from '../../core/images/names.ts';
import {
  ASSEMBLE_FUNCTION,
  archiveKey,
  BAKE_MACHINE,
  fetchedKey,
  indexKey,
  interruptionKey,
  LOOK_DOCUMENT,
  logChunkKey,
  logFileName,
  logStream,
  MANAGED_POLICIES,
  MANIFEST,
  NOTIFY_FUNCTION,
  notifiedKey,
  POWER_MACHINE,
  patchKey,
  RUN_DOCUMENT,
  RUN_LOG_GROUP,
  RUN_MACHINE,
  runFileKey,
  SCHEDULE_GROUP,
  STACK_NAME,
  STOP_FUNCTION,
  scheduleName,
  UPLOAD_PREFIX,
  useKey,
  WATCH_MACHINE,
  watchName,
} from '../../core/names.ts';
import { METRIC_NAMESPACE } from '../../core/notify/metrics.ts';
import {
  FILE_POINTS,
  LOG_FILE,
  METRICS_FILE,
  REPORT_FILE,
  SUMMARY_FILE,
  USAGE_FILE,
} from '../../core/results/files.ts';
import { bundleLambdas, lambdaNames } from '../../lib/functions/bundle.ts';
import { CALLED } from '../support/lib/function-calls.ts';
import {
  arn,
  arnsOf,
  type IamRequest,
  isAllowed,
  managedPolicy,
  roleOf,
  type Statement,
} from '../support/lib/policies.ts';
import { asList, synthesize } from '../support/lib/synth.ts';

/** Each call of AWS, as IAM sees it, against the policies of the synthesized stack: what must be allowed is, and nothing beside it. */

const aws = synthesize();
afterAll(() => aws.remove());
const { assets, bucket, deadLetters, scheduleRole, summaryDeadLetters, topic } = arnsOf(aws);

const uploads = archiveKey('demo', 'a'.repeat(64), UPLOAD_PREFIX);
const archives = archiveKey('demo', 'a'.repeat(64));
const patches = patchKey('demo', 'a'.repeat(64));
const indexes = indexKey('demo', 'a'.repeat(64));
const uses = useKey(archives);
const runs = runFileKey('demo-1', 'manifest.json');
const results = [METRICS_FILE, REPORT_FILE, SUMMARY_FILE].map((name) => runFileKey('demo-1', name));
const sources = [MANIFEST, LOG_FILE, logFileName('train', 2), FILE_POINTS, USAGE_FILE, SUMMARY_FILE].map((name) =>
  runFileKey('demo-1', name),
);
const pieces = logChunkKey('demo-1', 'train', 0);
const interrupted = interruptionKey('i-0123456789abcdef0');
const checkpointData = `${dataPrefix('demo', 'demo-1')}1/data/checkpoints/a.pt`;
const checkpoints = manifestKey('demo', 'demo-1', 1);
const environmentData = `${environmentDataPrefix('demo', 'a'.repeat(64), { key: 'demo-1-0' })}00000`;
const environments = environmentManifestKey('demo', 'a'.repeat(64));
const notified = notifiedKey('demo-1/started');
const fetched = fetchedKey('demo-1', '0123');

const object = (key: string) => `${bucket}/${key}`;
const execution = (machine: string, name: string) => arn('states', `execution:${machine}:${name}`);
const RUN = execution(RUN_MACHINE, 'demo-1');
const WATCH = execution(WATCH_MACHINE, watchName('demo-1-0123456789abcdef', 2));
const POWER = arn('states', `stateMachine:${POWER_MACHINE}`);
const BAKES = arn('states', `stateMachine:${BAKE_MACHINE}`);
const BAKE = execution(BAKE_MACHINE, 'demo-image-1');
const MACHINE = arn('states', `stateMachine:${RUN_MACHINE}`);
const document = (name: string) => arn('ssm', `document/${name}`);
const GROUP = arn('logs', `log-group:${RUN_LOG_GROUP}`);
const STREAM = `${GROUP}:log-stream:${logStream('demo-1', 'train')}`;
const schedule = arn('scheduler', `schedule/${SCHEDULE_GROUP}/${scheduleName('demo', 'nightly')}`);

const on = (action: string, ...resources: string[]): IamRequest[] =>
  resources.map((resource) => ({ action, resource }));
const sendBy = (name: string): IamRequest[] => [
  ...on('ssm:SendCommand', document(name)),
  {
    action: 'ssm:SendCommand',
    resource: arn('ec2', 'instance/i-0123456789abcdef0'),
    context: { 'ssm:resourceTag/runctl': 'enabled' },
  },
];
/** Both tags are needed: the probes change each of them. */
const onManaged = (action: string): IamRequest => ({
  action,
  resource: arn('ec2', 'instance/i-0123456789abcdef0'),
  context: { 'ec2:ResourceTag/runctl': 'enabled', 'ec2:ResourceTag/runctl:power': 'managed' },
});
const ec2 = (resource: string) => arn('ec2', resource);
/** Images and snapshots belong to no account in their ARNs. */
const unowned = (resource: string) => ec2(resource).replace(':111122223333:', '::');
const IMAGE = unowned('image/ami-0123456789abcdef0');
const SNAPSHOT = unowned('snapshot/snap-0123456789abcdef0');
const BUILDER = ec2('instance/i-0123456789abcdef0');
const PARAMETER = arn('ssm', `parameter${imageParameter('demo')}`);
const unownedParameter = arn('ssm', 'parameter/aws/service/ami').replace(':111122223333:', '::');
const withContext = (context: Record<string, string>, action: string, ...resources: string[]): IamRequest[] =>
  resources.map((resource) => ({ action, resource, context }));
const ofBake = { 'ec2:ResourceTag/runctl:made-by': BAKE_MACHINE };
const enabled = { 'ec2:ResourceTag/runctl': 'enabled' };
const fromTemplate = { 'ec2:LaunchTemplate': ec2('launch-template/lt-0123456789abcdef0') };
const measured = { action: 'cloudwatch:PutMetricData', resource: '*' };
const read = (...keys: string[]) => keys.flatMap((key) => on('s3:GetObject', object(key)));
const readVersion = (...keys: string[]) => keys.flatMap((key) => on('s3:GetObjectVersion', object(key)));
/** Without ListBucket S3 answers 403, not 404, for an object that does not exist. */
const LIST = on('s3:ListBucket', bucket);

/** Where in the bucket a function writes and reads. */
const WRITES: Readonly<Record<string, readonly string[]>> = {
  'poll-logs': [pieces, checkpointData, checkpoints, environmentData, environments],
  'finish-run': [pieces, runs],
  'stop-run': [pieces, runs, checkpointData, checkpoints],
  'install-requirements': [pieces],
  'restore-checkpoint': [pieces, checkpoints],
  'note-interruption': [interrupted],
  'notify-run': [notified],
  'summarize-run': results,
  'verify-archive': [indexes, uses],
  'assemble-archive': [archives],
};
const READS: Readonly<Record<string, readonly string[]>> = {
  ...WRITES,
  'restore-checkpoint': [pieces],
  'notify-run': [notified, runs],
  'summarize-run': sources,
  'verify-archive': [uploads, archives],
  'assemble-archive': [patches, archives],
  'sync-code': [uploads, archives, indexes],
  'start-run': [uploads],
  'prepare-image': [uploads, archives],
  'publish-image': [runs],
};
const of = (table: typeof READS, name: string) => table[name] ?? [];
const isPlan = (name: string) => name === 'plan-attempt';
const isEnd = (name: string) => name === 'finish-run' || name === 'stop-run';

/** The requests of each call that a function makes. */
const REQUESTS: Readonly<Record<string, (name: string) => IamRequest[]>> = {
  GetObject: (name) => [...read(...of(READS, name)), ...readVersion(...of(READS, name)), ...LIST],
  HeadObject: (name) => [...read(...of(READS, name)), ...readVersion(...of(READS, name)), ...LIST],
  GetRunFile: (name) => [...read(...of(READS, name)), ...(name === 'summarize-run' ? LIST : [])],
  HeadRunFile: (name) => [...read(...of(READS, name)), ...LIST],
  GetNotice: () => read(interrupted),
  GetCheckpoint: () => [...read(checkpoints, checkpointData), ...readVersion(checkpointData), ...LIST],
  HeadCheckpoint: () => [...read(checkpoints, checkpointData), ...readVersion(checkpointData), ...LIST],
  GetEnvironment: () => [...read(environments, environmentData), ...readVersion(environmentData), ...LIST],
  HeadEnvironment: () => [...read(environments, environmentData), ...LIST],
  HeadArchive: () => [...read(archives), ...LIST],
  ListObjectsV2: () => LIST,
  GetObjectTagging: () => on('s3:GetObjectVersionTagging', object(archives)),
  PutObjectTagging: () => on('s3:PutObjectVersionTagging', object(archives)),
  DeleteObjectTagging: () => on('s3:DeleteObjectVersionTagging', object(archives)),
  ListSchedules: () => on('scheduler:ListSchedules', '*'),
  GetSchedule: () => on('scheduler:GetSchedule', schedule),
  GetProgram: () => on('s3:GetObject', `${assets}/runctl/${'a'.repeat(64)}.zip`),
  DeleteObjects: () => on('s3:DeleteObject', object(checkpointData), object(checkpoints)),
  PutObject: (name) => of(WRITES, name).flatMap((key) => on('s3:PutObject', object(key))),
  // Assemble archive tags what it writes.
  CreateMultipartUpload: (name) =>
    of(WRITES, name).flatMap((key) => [
      ...on('s3:PutObject', object(key)),
      ...(key === archives ? on('s3:PutObjectTagging', object(key)) : []),
    ]),
  UploadPart: (name) => of(WRITES, name).flatMap((key) => on('s3:PutObject', object(key))),
  // Copies from an archive into an archive.
  UploadPartCopy: (name) =>
    isEnd(name)
      ? [...on('s3:PutObject', object(runs)), ...read(pieces)]
      : [...on('s3:PutObject', object(archives)), ...read(archives), ...readVersion(archives)],
  ListParts: (name) => on('s3:ListMultipartUploadParts', ...(isEnd(name) ? [object(runs)] : [])),
  CompleteMultipartUpload: (name) => of(WRITES, name).flatMap((key) => on('s3:PutObject', object(key))),
  AbortMultipartUpload: (name) => of(WRITES, name).flatMap((key) => on('s3:AbortMultipartUpload', object(key))),
  SendCommand: () => sendBy(RUN_DOCUMENT),
  GetCommandInvocation: () => on('ssm:GetCommandInvocation', '*'),
  GetDocument: () => on('ssm:GetDocument', document(RUN_DOCUMENT)),
  DescribeInstances: () => on('ec2:DescribeInstances', '*'),
  DescribeInstanceAttribute: () => [onManaged('ec2:DescribeInstanceAttribute')],
  StopInstances: () => [onManaged('ec2:StopInstances')],
  StartInstances: () => [onManaged('ec2:StartInstances')],
  DescribeLaunchTemplates: () => on('ec2:DescribeLaunchTemplates', '*'),
  DescribeLaunchTemplateVersions: () => [
    ...on('ec2:DescribeLaunchTemplateVersions', '*'),
    // Their images may be parameters.
    ...on('ssm:GetParameters', PARAMETER, unownedParameter),
  ],
  DescribeImages: () => on('ec2:DescribeImages', '*'),
  RunInstances: () => [
    ...withContext(enabled, 'ec2:RunInstances', ec2('launch-template/lt-0123456789abcdef0')),
    ...withContext({ ...fromTemplate, 'aws:RequestTag/runctl:made-by': BAKE_MACHINE }, 'ec2:RunInstances', BUILDER),
    ...withContext(
      fromTemplate,
      'ec2:RunInstances',
      IMAGE,
      SNAPSHOT,
      ...['volume', 'network-interface', 'subnet', 'security-group', 'key-pair', 'placement-group'].map((type) =>
        ec2(`${type}/a-0123456789abcdef0`),
      ),
    ),
    ...withContext({ 'ec2:CreateAction': 'RunInstances' }, 'ec2:CreateTags', BUILDER, ec2('volume/vol-1')),
    ...withContext(
      { 'iam:PassedToService': 'ec2.amazonaws.com' },
      'iam:PassRole',
      'arn:aws:iam::111122223333:role/runctl-instance',
    ),
  ],
  TerminateInstances: () => withContext(ofBake, 'ec2:TerminateInstances', BUILDER),
  CreateImage: () => [
    ...withContext(ofBake, 'ec2:CreateImage', BUILDER),
    ...on('ec2:CreateImage', IMAGE, SNAPSHOT),
    ...withContext({ 'ec2:CreateAction': 'CreateImage' }, 'ec2:CreateTags', IMAGE, SNAPSHOT),
  ],
  CreateTags: () => withContext({ ...ofBake, 'aws:TagKeys': IMAGE_TAGS.published }, 'ec2:CreateTags', IMAGE),
  DeregisterImage: () => withContext(ofBake, 'ec2:DeregisterImage', IMAGE),
  DeleteSnapshot: () => withContext(ofBake, 'ec2:DeleteSnapshot', SNAPSHOT),
  PutParameter: () => on('ssm:PutParameter', PARAMETER),
  GetParameter: () => on('ssm:GetParameter', PARAMETER),
  DeleteParameter: () => on('ssm:DeleteParameter', PARAMETER),
  GetProducts: () => on('pricing:GetProducts', '*'),
  DescribeSpotPriceHistory: () => on('ec2:DescribeSpotPriceHistory', '*'),
  DescribeInstanceInformation: () => on('ssm:DescribeInstanceInformation', '*'),
  CreateLogStream: () => on('logs:CreateLogStream', STREAM),
  CreateLogGroup: () => on('logs:CreateLogGroup', GROUP, `${GROUP}:log-stream:`),
  PutLogEvents: () => on('logs:PutLogEvents', STREAM),
  GetLogEvents: () => on('logs:GetLogEvents', STREAM),
  DescribeExecution: (name) =>
    on('states:DescribeExecution', ...(isEnd(name) ? [RUN, WATCH] : isPlan(name) ? [WATCH] : [RUN])),
  GetExecutionHistory: (name) => on('states:GetExecutionHistory', ...(isPlan(name) ? [WATCH] : [RUN, WATCH])),
  ListExecutions: () => on('states:ListExecutions', MACHINE),
  StartExecution: (name) => on('states:StartExecution', name === 'start-run' ? MACHINE : POWER),
  StopExecution: () => on('states:StopExecution', WATCH),
  Invoke: (name) =>
    [NOTIFY_FUNCTION, ...(name === 'sync-code' ? [STOP_FUNCTION] : [])].flatMap((one) =>
      on('lambda:InvokeFunction', arn('lambda', `function:${one}`)),
    ),
  Publish: () => on('sns:Publish', topic),
  PutMetricData: () => [{ ...measured, context: { 'cloudwatch:namespace': METRIC_NAMESPACE } }],
};

/** What Lambda itself does with a function's role. */
function ofLambda(name: string): IamRequest[] {
  const stream = arn('logs', `log-group:/aws/lambda/${STACK_NAME}-${name}:log-stream:2026/11/26/[$LATEST]0123`);
  const isByEvent = [
    'clean-up-bake',
    'expire-archives',
    'note-interruption',
    'notify-run',
    'count-runs',
    'start-run',
    'stop-run',
  ].includes(name);
  return [
    ...on('logs:CreateLogStream', stream),
    ...on('logs:PutLogEvents', stream),
    ...(isByEvent ? on('sqs:SendMessage', deadLetters) : []),
    ...(name === 'summarize-run' ? on('sqs:SendMessage', summaryDeadLetters) : []),
  ];
}

/** The same action on what belongs to somebody else. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/:111122223333:/, ':999988887777:'],
  [/:eu-central-1:/, ':us-east-1:'],
  [/^arn:aws:s3:::/, 'arn:aws:s3:::other-'],
  [/(^arn:aws:s3:::[^/]+\/)\w+\//, '$1other/'],
  [/\.zip$/, '.json'],
  [/document\/.*/, 'document/other'],
  [/:[^:]*:document\/.*/, '::document/AWS-RunShellScript'],
  [/log-group:\/[^:]*/, 'log-group:/other'],
  [/(execution|stateMachine|function):\w+-/, '$1:other-'],
  [/schedule\/\w+\//, 'schedule/other/'],
  [/schedule\/(\w+)\/\w+-/, 'schedule/$1/other-'],
  [/role\/.*/, 'role/other'],
  [/stack\/\w+\//, 'stack/other/'],
  [/parameter\/.*/, 'parameter/other'],
];

function strangers({ action, resource, context }: IamRequest): IamRequest[] {
  const elsewhere = FOREIGN.map(([pattern, name]) => resource.replace(pattern, name)).filter((one) => one !== resource);
  const others = elsewhere.map((one) => ({ action, resource: one, ...(context ? { context } : {}) }));
  if (!context) return others;
  const changed = Object.keys(context).map((key) => ({ action, resource, context: { ...context, [key]: 'other' } }));
  return [...others, { action, resource }, ...changed];
}

const text = ({ action, resource, context }: IamRequest) =>
  `${action} on ${resource}${context ? ` with ${JSON.stringify(context)}` : ''}`;

/** @param needed all requests that the policy is for */
function expectExactly(statements: readonly Statement[], needed: readonly IamRequest[]): void {
  expect(needed.filter((request) => !isAllowed(statements, request)).map(text), 'must be allowed').toEqual([]);
  const probes = needed.flatMap(strangers);
  expect(probes.filter((request) => isAllowed(statements, request)).map(text), 'must be denied').toEqual([]);
  // Each statement, taken apart: one that none of the requests needs is too much.
  const unneeded = statements.flatMap((statement) =>
    asList(statement.Action).flatMap((Action) =>
      asList(statement.Resource as string[]).flatMap((Resource) =>
        needed.some((request) => isAllowed([{ ...statement, Action, Resource }], request))
          ? []
          : [`${Action} on ${Resource}`],
      ),
    ),
  );
  expect(unneeded, 'is granted, and nothing needs it').toEqual([]);
}

/** Clients of the SDK's credential providers, which a function's role does not use; S3 Express, which has no such bucket here. */
const OF_THE_SDK = ['CreateToken', 'GetRoleCredentials', 'AssumeRole', 'CreateOAuth2Token', 'CreateSession'];
/** The SDK's call behind a name that stands for one use of it. */
const sdkCall = (call: string) => call.replace(/RunFile|Program|Archive|Checkpoint|Environment|Notice$/, 'Object');

const bundles = mkdtempSync(join(tmpdir(), 'runctl-bundles-'));
beforeAll(() => bundleLambdas(bundles), 120_000);
afterAll(() => rmSync(bundles, { recursive: true, force: true }));

/** The SDK's commands in a bundle: each is a class that is made with the name of its operation. */
function bundledCalls(name: string): string[] {
  const code = readFileSync(join(bundles, name, 'index.mjs'), 'utf8');
  const found = [...code.matchAll(/class extends [\w$]+\([\w$]+,[\w$]+,"(\w+)",/g)].map((match) => match[1] ?? '');
  return [...new Set(found)].filter((call) => !OF_THE_SDK.some((one) => call.startsWith(one)));
}

describe.each(lambdaNames())('the role of %s', (name) => {
  const calls = CALLED.get(name) ?? [];
  const needed = [...ofLambda(name), ...calls.flatMap((call) => REQUESTS[call]?.(name) ?? [])];
  const role = roleOf(aws, name);

  it('allows what its calls ask, and nothing else', () => {
    expect(calls.length).toBeGreaterThan(0);
    expectExactly(role, needed);
  });

  it('knows every SDK call of its bundle: those that the function does not make are denied', () => {
    const bundled = bundledCalls(name);
    const made = new Set(calls.map(sdkCall));
    expect([...made].filter((call) => !bundled.includes(call))).toEqual([]);
    const actions = new Set(needed.map(({ action }) => action));
    for (const call of bundled.filter((one) => !made.has(one))) {
      const requests = REQUESTS[call]?.(name);
      expect(requests, `${call} has no request in this test`).toBeDefined();
      for (const request of requests ?? []) {
        if (!actions.has(request.action)) expect(isAllowed(role, request), text(request)).toBe(false);
      }
    }
  });
});

it('summarize-run changes nothing of a run: it writes its own files alone, and reads neither outputs nor archives', () => {
  const others = [MANIFEST, LOG_FILE, FILE_POINTS, USAGE_FILE, 'outputs.tar.gz', 'inventory.json', 'stopped.json'];
  const writes = others.flatMap((name) => on('s3:PutObject', object(runFileKey('demo-1', name))));
  const reads = read(runFileKey('demo-1', 'outputs.tar.gz'), uploads, archives);
  const deletes = on('s3:DeleteObject', ...results.map(object));
  const allowed = [...writes, ...reads, ...deletes].filter((one) => isAllowed(roleOf(aws, 'summarize-run'), one));
  expect(allowed.map(text)).toEqual([]);
});

const CLI = fileURLToPath(new URL('../../cli', import.meta.url));
const AWS = fileURLToPath(new URL('../../aws/', import.meta.url));
const CLI_SOURCES = readdirSync(CLI, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join(CLI, name));

/** The files of aws/ that the command line imports, and those that they import. */
function sharedClients(): string[] {
  const found = new Set<string>();
  const visit = (file: string): void => {
    for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(
      /^(?:import|export) (?!type )[^;]*from '(\..*)';$/gm,
    )) {
      const target = resolve(dirname(file), path);
      if (!target.startsWith(AWS) || found.has(target)) continue;
      found.add(target);
      visit(target);
    }
  };
  for (const file of CLI_SOURCES) visit(file);
  return [...found];
}

type Policy = keyof typeof MANAGED_POLICIES;
const ALL: readonly Policy[] = ['upload', 'watch', 'operator'];
const WATCHERS: readonly Policy[] = ['watch', 'operator'];
const OPERATORS: readonly Policy[] = ['operator'];

/** What each SDK call of the command line asks, and which policies allow it. `runctl deploy` needs an administrator, and is not among them. */
const OF_PEOPLE: Readonly<Record<string, readonly (readonly [readonly Policy[], IamRequest[]])[]>> = {
  GetCallerIdentity: [], // Needs no permission.
  DescribeStacks: [[ALL, on('cloudformation:DescribeStacks', arn('cloudformation', `stack/${STACK_NAME}/0123`))]],
  // MultipartUpload of lib-storage makes PutObject, or the calls of a multipart upload, which ask the same.
  MultipartUpload: [
    [ALL, [uploads, archives, patches].flatMap((key) => on('s3:PutObject', object(key)))],
    [ALL, [uploads, archives, patches].flatMap((key) => on('s3:AbortMultipartUpload', object(key)))],
    // An archive for a run alone is tagged.
    [ALL, on('s3:PutObjectTagging', object(archives))],
  ],
  // `push` and `schedule add` copy an archive that would expire, `push --start` to where it starts a run.
  CopyObject: [
    [ALL, on('s3:PutObject', object(archives), object(uploads))],
    [WATCHERS, [...read(archives), ...readVersion(archives)]],
    [OPERATORS, [...read(uploads), ...readVersion(uploads)]],
  ],
  // `run` and `push` reuse a stored archive, `schedule add` pins its version.
  HeadObject: [
    [WATCHERS, [...read(archives, indexes, runs), ...readVersion(archives)]],
    [OPERATORS, [...read(uploads), ...readVersion(uploads)]],
  ],
  GetObject: [
    [WATCHERS, read(runs, indexes, checkpoints, checkpointData)],
    [OPERATORS, [...on('s3:GetObject', `${assets}/runctl/${'a'.repeat(64)}.zip`), ...read(fetched)]],
  ],
  // Signed for an instance.
  PutObject: [[OPERATORS, on('s3:PutObject', object(fetched))]],
  HeadBucket: [[WATCHERS, LIST]],
  ListObjectsV2: [[WATCHERS, LIST]],
  Invoke: [[WATCHERS, on('lambda:InvokeFunction', arn('lambda', `function:${ASSEMBLE_FUNCTION}`))]],
  StartExecution: [
    [WATCHERS, on('states:StartExecution', MACHINE)],
    [OPERATORS, on('states:StartExecution', BAKES)],
  ],
  ListExecutions: [[WATCHERS, on('states:ListExecutions', MACHINE)]],
  DescribeExecution: [
    [WATCHERS, on('states:DescribeExecution', RUN, WATCH)],
    [OPERATORS, on('states:DescribeExecution', BAKE)],
  ],
  GetExecutionHistory: [
    [WATCHERS, on('states:GetExecutionHistory', RUN, WATCH)],
    [OPERATORS, on('states:GetExecutionHistory', BAKE)],
  ],
  GetLogEvents: [[WATCHERS, on('logs:GetLogEvents', STREAM)]],
  DescribeInstances: [[WATCHERS, on('ec2:DescribeInstances', '*')]],
  DescribeInstanceInformation: [[WATCHERS, on('ssm:DescribeInstanceInformation', '*')]],
  StopExecution: [[OPERATORS, on('states:StopExecution', RUN)]],
  StartInstances: [[OPERATORS, [onManaged('ec2:StartInstances')]]],
  StopInstances: [[OPERATORS, [onManaged('ec2:StopInstances')]]],
  DescribeInstanceAttribute: [[OPERATORS, [onManaged('ec2:DescribeInstanceAttribute')]]],
  DescribeImages: [[OPERATORS, on('ec2:DescribeImages', '*')]],
  DescribeLaunchTemplates: [[OPERATORS, on('ec2:DescribeLaunchTemplates', '*')]],
  DescribeLaunchTemplateVersions: [[OPERATORS, REQUESTS.DescribeLaunchTemplateVersions?.('') ?? []]],
  CreateLaunchTemplateVersion: [
    [OPERATORS, withContext(enabled, 'ec2:CreateLaunchTemplateVersion', ec2('launch-template/lt-0123456789abcdef0'))],
  ],
  ModifyLaunchTemplate: [
    [OPERATORS, withContext(enabled, 'ec2:ModifyLaunchTemplate', ec2('launch-template/lt-0123456789abcdef0'))],
  ],
  DeregisterImage: [[OPERATORS, withContext(ofBake, 'ec2:DeregisterImage', IMAGE)]],
  DeleteSnapshot: [[OPERATORS, withContext(ofBake, 'ec2:DeleteSnapshot', SNAPSHOT)]],
  GetParameter: [[OPERATORS, on('ssm:GetParameter', PARAMETER)]],
  DeleteParameter: [[OPERATORS, on('ssm:DeleteParameter', PARAMETER)]],
  DescribeDocument: [[OPERATORS, on('ssm:DescribeDocument', document(RUN_DOCUMENT), document(LOOK_DOCUMENT))]],
  GetDocument: [[OPERATORS, on('ssm:GetDocument', document(LOOK_DOCUMENT))]],
  SendCommand: [[OPERATORS, sendBy(LOOK_DOCUMENT)]],
  GetCommandInvocation: [[OPERATORS, on('ssm:GetCommandInvocation', '*')]],
  ListSchedules: [[OPERATORS, on('scheduler:ListSchedules', '*')]],
  CreateSchedule: [
    [OPERATORS, on('scheduler:CreateSchedule', schedule)],
    [
      OPERATORS,
      [
        {
          action: 'iam:PassRole',
          resource: scheduleRole,
          context: { 'iam:PassedToService': 'scheduler.amazonaws.com' },
        },
      ],
    ],
  ],
  UpdateSchedule: [[OPERATORS, on('scheduler:UpdateSchedule', schedule)]],
  GetSchedule: [[OPERATORS, on('scheduler:GetSchedule', schedule)]],
  DeleteSchedule: [[OPERATORS, on('scheduler:DeleteSchedule', schedule)]],
};

/** Nobody may do these: forge a result, read or replace what others trained, run other documents, remove what is kept. */
const FORBIDDEN: readonly IamRequest[] = [
  ...[runs, pieces, notified, indexes, checkpointData, checkpoints].flatMap((key) => on('s3:PutObject', object(key))),
  ...[runs, uploads, archives, checkpointData, checkpoints].flatMap((key) => on('s3:DeleteObject', object(key))),
  ...sendBy(RUN_DOCUMENT).slice(0, 1),
  ...sendBy('AWS-RunShellScript').slice(0, 1),
  ...on('states:StopExecution', WATCH),
  ...on('states:StartExecution', arn('states', `stateMachine:${WATCH_MACHINE}`)),
  ...on('logs:PutLogEvents', STREAM),
  ...on('logs:DeleteLogGroup', GROUP),
  ...on('lambda:InvokeFunction', arn('lambda', `function:${STOP_FUNCTION}`)),
  ...on('sns:Publish', topic),
];

describe('the managed policies', () => {
  it('know every SDK call of the command line', () => {
    const sources = [...CLI_SOURCES, ...sharedClients()].map((file) => readFileSync(file, 'utf8'));
    const calls = sources.flatMap((source) =>
      [...source.matchAll(/new (\w+?)(?:Command)?\(/g)].map((match) => match[1] ?? ''),
    );
    const made = new Set(calls.filter((call) => sources.some((source) => source.includes(`new ${call}Command(`))));
    expect(calls).toContain('MultipartUpload');
    // Of the files in aws/ that the command line shares with the functions, these calls are the functions'.
    const ofFunctions = [
      'PutObject',
      'RunInstances',
      'TerminateInstances',
      'CreateImage',
      'CreateTags',
      'PutParameter',
    ];
    const known = [...Object.keys(OF_PEOPLE), ...ofFunctions];
    expect([...made].filter((call) => !known.includes(call))).toEqual([]);
    expect(Object.keys(OF_PEOPLE).filter((call) => call !== 'MultipartUpload' && !made.has(call))).toEqual([]);
  });

  it.each(ALL)('%s allows what its holder may ask, and nothing else', (policy) => {
    const statements = managedPolicy(aws, MANAGED_POLICIES[policy]);
    const requests = Object.values(OF_PEOPLE).flat();
    const needed = requests.filter(([policies]) => policies.includes(policy)).flatMap(([, asked]) => asked);
    expectExactly(statements, needed);
    const others = requests.filter(([policies]) => !policies.includes(policy)).flatMap(([, asked]) => asked);
    const denied = [...others, ...FORBIDDEN];
    expect(denied.filter((request) => isAllowed(statements, request)).map(text)).toEqual([]);
  });
});
