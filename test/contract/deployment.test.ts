import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { ENV, RUN_MACHINE, WATCH_MACHINE } from '../../core/names.ts';
import { lambdaNames } from '../../lib/functions/bundle.ts';
import { tasksOf } from '../support/lib/state-graph.ts';
import { asList, joined, synthesize } from '../support/lib/synth.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const aws = synthesize();
afterAll(() => aws.remove());

const handler = (name: string) => readFileSync(join(ROOT, 'lambdas', `${name}.ts`), 'utf8');
const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? '');

/** The functions at the top level of aws/ and lambdas/adapters/, by name. */
const helpers = new Map(
  ['aws', 'lambdas/adapters'].flatMap((folder) =>
    readdirSync(join(ROOT, folder)).flatMap((file) => {
      const text = readFileSync(join(ROOT, folder, file), 'utf8');
      const found = text.matchAll(/^(?:export )?(?:async )?function\*? (\w+)[\s\S]*?^}$/gm);
      return [...found].map(([body, name = '']) => [name, body] as const);
    }),
  ),
);

/** Those that a handler's code calls, and those that they call. */
function helpersOf(text: string, seen = new Set<string>()): Set<string> {
  for (const [name, body] of helpers) {
    if (seen.has(name) || !new RegExp(`(?<![\\w?)\\]]\\.)(?<!\\w)${name}\\(`).test(text)) continue;
    seen.add(name);
    helpersOf(body, seen);
  }
  return seen;
}

const functions = new Map(
  aws
    .of('AWS::Lambda::Function')
    .map(({ Properties }) => [String(Properties.FunctionName).replace(/^runctl-/, ''), Properties]),
);

describe('states and handlers', () => {
  const kebab = (state: string) => state.toLowerCase().replaceAll(' ', '-');

  it('have one name: a file in lambdas/ for each state that calls a function', () => {
    const states = [RUN_MACHINE, WATCH_MACHINE].flatMap((machine) => {
      const tasks = tasksOf(aws.machine(machine)).filter(([, { Resource }]) => Resource?.endsWith(':lambda:invoke'));
      for (const [name, { Arguments }] of tasks) {
        const id = String(Arguments?.FunctionName).split('.')[0] ?? '';
        expect(aws.resources[id]?.Properties.FunctionName, name).toBe(`runctl-${kebab(name)}`);
      }
      return tasks.map(([name]) => kebab(name));
    });
    // Those that are no state: one starts the machine, one ends what it left, two tell of it.
    expect([...states, 'notify-run', 'count-runs', 'start-run', 'stop-run'].sort()).toEqual(lambdaNames().sort());
  });
});

function policiesOf(name: string) {
  const { 'Fn::GetAtt': attribute } = (functions.get(name)?.Role ?? { 'Fn::GetAtt': [''] }) as Record<string, string[]>;
  const role = attribute?.[0] ?? '';
  return [
    ...asList(aws.resources[role]?.Properties.Policies as { PolicyDocument: unknown }[]).map(
      ({ PolicyDocument }) => PolicyDocument,
    ),
    ...aws
      .of('AWS::IAM::Policy')
      .filter(({ Properties }) => JSON.stringify(Properties.Roles).includes(`"${role}"`))
      .map(({ Properties }) => Properties.PolicyDocument),
  ] as { Statement: { Action: string | string[]; Resource: unknown }[] }[];
}

describe.each(lambdaNames())('%s', (name) => {
  const called = [...helpersOf(handler(name))].map((helper) => helpers.get(helper) ?? '');
  const texts = [handler(name), ...called];

  it('is given the environment that it reads, all of it and no more', () => {
    const read = texts.flatMap((text) => all(text, /requireEnv\('(\w+)'\)/g)) as (keyof typeof ENV)[];
    const { Variables } = (functions.get(name)?.Environment ?? { Variables: {} }) as {
      Variables: Record<string, unknown>;
    };
    const given = Object.keys(Variables).filter((variable) => variable.startsWith('RUNCTL_'));
    expect(given.sort()).toEqual([...new Set(read.map((key) => ENV[key]))].sort());
  });

  it('may do what its SDK calls need, and nothing else', () => {
    const calls = CALLED.get(name);
    const policies = policiesOf(name);
    const granted = new Set(policies.flatMap(({ Statement }) => Statement.flatMap(({ Action }) => asList(Action))));
    const needed = new Set([
      ...OWN_LOG,
      ...(calls ?? []).flatMap((call) => ACTIONS[call] ?? [`no action known for ${call}`]),
    ]);
    if (['notify-run', 'count-runs', 'start-run', 'stop-run'].includes(name)) needed.add('sqs:SendMessage'); // Lambda itself, for an event that failed.
    expect([...granted].sort()).toEqual([...needed].sort());
  });

  it('may do it to what it works on, and to nothing else', () => {
    const granted = new Map<string, Set<string>>();
    for (const { Action, Resource } of policiesOf(name).flatMap(({ Statement }) => Statement)) {
      for (const action of asList(Action)) {
        const resources = granted.get(action) ?? new Set();
        granted.set(action, resources);
        for (const resource of asList(Resource)) resources.add(shortArn(joined(resource)));
      }
    }
    for (const [action, resources] of granted) {
      if (OWN_LOG.includes(action) || action === 'sqs:SendMessage') continue; // of its own, and where its failed events go
      expect([...resources].sort(), action).toEqual([...resourcesOf(name, action)].sort());
    }
    // Beside its own log, which is a group of the stack's.
    const written = [...(granted.get('logs:PutLogEvents') ?? [])].filter((group) => group.startsWith('logs:'));
    const writesRunLogs = (CALLED.get(name) ?? []).includes('PutLogEvents');
    expect(written).toEqual(writesRunLogs ? ['logs:log-group:/runctl/runs:*'] : []);
  });

  it('may send the document runctl, if any', () => {
    const sends = (CALLED.get(name) ?? []).includes('SendCommand');
    const granted = all(
      JSON.stringify(
        policiesOf(name).flatMap(({ Statement }) =>
          Statement.filter(({ Action }) => asList(Action).includes('ssm:SendCommand')),
        ),
      ),
      /document\/([\w-]+)/g,
    );
    expect([...new Set(granted)]).toEqual(sends ? ['runctl'] : []);
  });

  it('makes the SDK calls that are listed here', () => {
    const sent = new Set(called.flatMap((text) => all(text, /new (\w+)Command\(/g)));
    // A handler may use a part of a client: what it uses is among what its clients can do.
    const listed = (CALLED.get(name) ?? []).map((call) => call.replace(/RunFile|Program/, 'Object'));
    expect(listed.filter((call) => !sent.has(call))).toEqual([]);
    const unused = [...sent].filter((call) => !listed.includes(call));
    for (const call of unused) {
      const method = Object.entries(METHODS).find(([, calls]) => calls.includes(call))?.[0] ?? call;
      expect(usesMethod(handler(name), method), `${name} uses ${method}, which calls ${call}`).toBe(false);
    }
  });
});

const OWN_LOG = ['logs:CreateLogStream', 'logs:PutLogEvents'];
/** GetProgram: the instance fetches the program by presigned URL, with this role's permission. */
const COMMANDS = ['SendCommand', 'GetCommandInvocation', 'GetProgram'];
/** Of a step that asks EC2 about an instance which does not answer. */
const JOB = [...COMMANDS, 'DescribeInstances'];
/** DescribeExecution: a look whose answer came late asks whether its run has ended before it sends log. */
const LOGS = ['CreateLogStream', 'CreateLogGroup', 'PutLogEvents', 'GetLogEvents', 'DescribeExecution'];
/** PutObject: what the instance sends by presigned URL has this role's permission. */
const FILES = ['PutObject', 'GetRunFile'];
const END = [...COMMANDS, ...LOGS, ...FILES, 'HeadRunFile', 'GetExecutionHistory'];
/** Methods of the ports that belong to one call each: some handlers use only a part of a port. */
const METHODS: Readonly<Record<string, readonly string[]>> = {
  currentVersion: ['HeadObject'],
  start: ['StartExecution'],
  hasEnded: ['DescribeExecution'],
  history: ['GetExecutionHistory'],
  lastOutput: ['GetExecutionHistory'],
  stop: ['StopExecution'],
  running: ['ListExecutions'],
  ping: ['DescribeInstanceInformation'],
  open: ['GetObject'],
};
const usesMethod = (text: string, method: string) =>
  new RegExp(`(archives|executions|instances)\\.${method}\\(`).test(text);

const CALLED = new Map<string, readonly string[]>([
  ['verify-archive', ['GetObject', 'GetDocument']],
  ['find-instance', ['DescribeInstances', 'DescribeInstanceInformation']],
  // GetObject: the presigned URL carries this role's permission.
  ['sync-code', [...JOB, ...LOGS, 'GetObject', 'Invoke']],
  ['install-requirements', [...JOB, ...LOGS]],
  ['start-training', [...JOB, ...LOGS]],
  ['confirm-pid', [...JOB, ...LOGS, 'Invoke']],
  ['notify-run', [...FILES, 'HeadRunFile', 'Publish', 'PutMetricData']],
  ['count-runs', ['ListExecutions', 'PutMetricData']],
  ['poll-logs', [...JOB, ...LOGS, ...FILES, 'PutMetricData']],
  ['check-instance', ['DescribeInstances']],
  ['finish-run', END],
  ['stop-run', [...END, 'StopExecution']],
  ['start-run', ['HeadObject', 'StartExecution']],
]);

/** Without partition, region and account; the bucket's logical id as `bucket`. */
const shortArn = (arn: string) =>
  arn.replace(/^arn:aws:(\w+):eu-central-1:111122223333:/, '$1:').replace(/^Uploads\w+\.Arn/, 'bucket');

/** Where in the bucket a function reads and writes. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  'verify-archive': ['uploads/*', 'archives/*'],
  'sync-code': ['uploads/*', 'archives/*'],
  'start-run': ['uploads/*'],
  'poll-logs': ['pieces/*'],
  'finish-run': ['pieces/*', 'runs/*'],
  'stop-run': ['pieces/*', 'runs/*'],
  'notify-run': ['runs/*', 'notified/*'],
};
/** In the CDK's bucket. */
const PROGRAMS = expect.stringMatching(/^arn:aws:s3:::cdk-\w+-assets-.*\/runctl\/\*\.zip$/) as string;
const RUNS = 'states:execution:runctl-run:*';
const WATCHES = 'states:execution:runctl-watch:*';

function resourcesOf(name: string, action: string): readonly string[] {
  const isEnd = name === 'finish-run' || name === 'stop-run';
  switch (action) {
    case 'ssm:SendCommand':
      return ['ec2:instance/*', 'ssm:document/runctl'];
    case 'ssm:GetDocument':
      return ['ssm:document/runctl'];
    case 's3:PutObject':
      return (KEYS[name] ?? []).filter((key) => name !== 'notify-run' || key === 'notified/*').map(inBucket);
    case 's3:GetObject':
      return [
        ...(KEYS[name] ?? []).map(inBucket),
        ...((CALLED.get(name) ?? []).includes('GetProgram') ? [PROGRAMS] : []),
      ];
    case 's3:GetObjectVersion':
      return (KEYS[name] ?? []).map(inBucket);
    case 's3:ListBucket':
      return ['bucket'];
    case 'logs:GetLogEvents':
      return ['logs:log-group:/runctl/runs:*'];
    case 'logs:CreateLogGroup':
      return ['logs:log-group:/runctl/runs', 'logs:log-group:/runctl/runs:*'];
    case 'states:DescribeExecution':
      return isEnd ? [RUNS, WATCHES] : [RUNS];
    case 'states:GetExecutionHistory':
      return [RUNS, WATCHES];
    case 'states:StopExecution':
      return [WATCHES];
    case 'states:StartExecution':
      return [expect.stringMatching(/^RunMachine\w+$/)];
    case 'states:ListExecutions':
      return ['states:stateMachine:runctl-run'];
    case 'lambda:InvokeFunction':
      return name === 'sync-code'
        ? ['lambda:function:runctl-notify-run', 'lambda:function:runctl-stop-run']
        : ['lambda:function:runctl-notify-run'];
    case 'sns:Publish':
      return [expect.stringMatching(/^Notifications\w+$/)];
    default:
      return ['*']; // AWS offers nothing else: template.test.ts says for which.
  }
}

const inBucket = (key: string) => `bucket/${key}`;

/** IAM's actions for each call. ListBucket: without it S3 answers 403, not 404, for what is not there. */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  GetObject: ['s3:GetObject', 's3:GetObjectVersion', 's3:ListBucket'],
  HeadObject: ['s3:GetObject', 's3:GetObjectVersion', 's3:ListBucket'],
  SendCommand: ['ssm:SendCommand'],
  GetCommandInvocation: ['ssm:GetCommandInvocation'],
  GetRunFile: ['s3:GetObject'],
  GetProgram: ['s3:GetObject'],
  GetDocument: ['ssm:GetDocument'],
  HeadRunFile: ['s3:GetObject', 's3:ListBucket'],
  PutObject: ['s3:PutObject'],
  CreateLogGroup: ['logs:CreateLogGroup'],
  GetExecutionHistory: ['states:GetExecutionHistory'],
  StopExecution: ['states:StopExecution'],
  Invoke: ['lambda:InvokeFunction'],
  Publish: ['sns:Publish'],
  PutMetricData: ['cloudwatch:PutMetricData'],
  ListExecutions: ['states:ListExecutions'],
  CreateLogStream: ['logs:CreateLogStream'],
  PutLogEvents: ['logs:PutLogEvents'],
  GetLogEvents: ['logs:GetLogEvents'],
  DescribeInstances: ['ec2:DescribeInstances'],
  DescribeInstanceInformation: ['ssm:DescribeInstanceInformation'],
  DescribeExecution: ['states:DescribeExecution'],
  StartExecution: ['states:StartExecution'],
};
