import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { RunError } from '../../core/errors.ts';
import { type JobName, VERBS_FOR_PEOPLE } from '../../core/names.ts';
import { checkAnswer, type Verb } from '../../core/protocol/answers.ts';
import {
  type CheckpointGrant,
  type CollectRequest,
  type IdleRequest,
  type InstallRequest,
  MAX_ATTEMPT,
  MAX_REQUEST_BYTES,
  type PartsGrant,
  type PollRequest,
  PROTOCOL,
  type ReleaseRequest,
  type RequestBase,
  type RestoreRequest,
  type RunnerRequest,
  type ScrubRequest,
  type StartRequest,
  type StopRequest,
  type SyncRequest,
  type TrainRequest,
  type UploadRequest,
} from '../../core/protocol/messages.ts';
import { exit, jobStatus, run, SHA256, usageSample } from '../support/fakes/samples.ts';

const RUNNER = fileURLToPath(new URL('../../instance/runner', import.meta.url));

/** Asks the runner's own protocol.py about each text. null: understood; else its refusal. */
function understood(requests: readonly unknown[]): (string | null)[] {
  const script = `
import base64, json, sys
sys.path.insert(0, sys.argv[1])
from common import protocol
for line in sys.stdin:
    try:
        protocol.parse(base64.b64decode(line))
        print("null")
    except protocol.Refusal as refusal:
        print(json.dumps(str(refusal)))
`;
  const input = requests.map((request) => Buffer.from(JSON.stringify(request)).toString('base64')).join('\n');
  const { stdout, stderr, status } = spawnSync('python3', ['-I', '-c', script, RUNNER], { input, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as string | null);
}

const base: RequestBase = {
  protocol: PROTOCOL,
  root: '/var/lib/runctl',
  home: null,
  user: null,
  users: ['ubuntu'],
  projects: null,
  run: { id: run.id, key: run.key, arn: run.arn },
  project: 'demo',
};
const window = { offset: 0, maxBytes: 1_000_000 };
const start = { ...base, ...window, verb: 'start', notAfter: 1, wait: 0, ended: [], queue: null } as const;
// Each of these is checked by the compiler to have every key of its type.
const sync: Required<SyncRequest> = {
  url: 'https://x',
  sha256: SHA256,
  bytes: 1,
  script: 'a.py',
  requirements: null,
  strip: null,
  versionId: null,
  folders: ['outputs'],
  allowRemovals: true,
  takeOver: true,
  index: 'https://y',
};
const install: Required<InstallRequest> = {
  requirements: 'r.txt',
  installer: 'auto',
  python: null,
  environment: 'project',
  env: {},
  secrets: {},
  maxDuration: 60,
  reuse: true,
  environments: { url: 'https://x', sha256: SHA256, bytes: 1 },
};
const train: Required<TrainRequest> = {
  script: 'a.py',
  args: [],
  env: {},
  secrets: {},
  python: null,
  maxDuration: 0.5,
  stopGrace: 0,
  environment: 'project',
  lingerGrace: 60,
  checkpoints: { folder: 'checkpoints', every: 0, firstSeq: 1 },
  resumeFrom: 'checkpoints/epoch-1.pt',
};
const restore: Required<RestoreRequest> = {
  list: { url: 'https://x', sha256: SHA256, bytes: 1 },
  name: 'checkpoints/epoch-1.pt',
};
const grant: CheckpointGrant = {
  url: 'https://x',
  fields: { policy: 'p' },
  prefix: 'checkpoint-data/demo/run/',
  committed: 0,
  wholeBytes: 5e9,
  partBytes: 1e8,
};
const starts: Record<string, StartRequest> = {
  sync: { ...start, job: 'sync', sync, shutdown: { after: 660 } },
  install: { ...start, job: 'install', install },
  restore: { ...start, job: 'restore' as JobName, restore },
  train: { ...start, job: 'train', train, attempt: 2 },
};
const parts: PartsGrant = { url: 'https://x', fields: { policy: 'p' }, prefix: 'pieces/run/', partBytes: 1e8 };
const poll: PollRequest = {
  ...base,
  ...window,
  verb: 'poll',
  job: 'train',
  attempt: 2,
  checkpoints: grant,
  environment: parts,
};
const stop: StopRequest = { ...base, verb: 'stop', grace: 30, reason: 'stop' };
const release: ReleaseRequest = { ...base, verb: 'release' };
const finisher = { wait: 8 } as const;
const collect: CollectRequest = {
  ...base,
  ...finisher,
  verb: 'collect',
  grace: 1,
  outputs: ['outputs/**'],
  maxBytes: 9,
  maxBytesInParts: 99,
};
const upload: UploadRequest = {
  ...base,
  ...finisher,
  verb: 'upload',
  puts: { 'train.log.gz': 'https://x' },
  parts: { 'outputs.tar.gz': parts },
};
const idle: Required<IdleRequest> = { ...base, verb: 'idle', quiet: 600, anyRun: false };
const scrub: Required<ScrubRequest> = { ...base, verb: 'scrub', image: { key: 'demo-1', base: 'ami-0' }, delay: 5 };
const requests: Record<string, RunnerRequest> = { ...starts, poll, stop, collect, upload, release, idle, scrub };

/** Keys that the runner can do without: it has a default, or reads them only when they are there. */
const OPTIONAL = [
  'shutdown',
  'anyRun',
  'offset',
  'maxBytes',
  'maxBytesInParts',
  'parts',
  'secrets',
  'lingerGrace',
  'environment',
  'folders',
  'allowRemovals',
  'takeOver',
  'index',
  'checkpoints',
  'attempt',
  'resumeFrom',
  'reuse',
  'environments',
];

describe('requests', () => {
  it.each(Object.entries(requests))('%s as core builds it is understood by the runner', (_, request) => {
    expect(understood([request])).toEqual([null]);
  });

  it.each(Object.entries(requests))('%s without any one key is refused, with its name', (_, request) => {
    const keys = Object.keys(request).filter((key) => !OPTIONAL.includes(key));
    const answers = understood(keys.map((key) => ({ ...request, [key]: undefined })));
    keys.forEach((key, index) => {
      expect(answers[index], key).toContain(key);
    });
  });

  it.each([
    ['sync', sync],
    ['install', install],
    ['restore', restore],
    ['train', train],
  ])('the work of %s without any one key is refused, with its name', (job, work) => {
    const optional = job === 'install' ? [...OPTIONAL, 'maxDuration'] : OPTIONAL;
    const keys = Object.keys(work).filter((key) => !optional.includes(key));
    const answers = understood(keys.map((key) => ({ ...starts[job], [job]: { ...work, [key]: undefined } })));
    keys.forEach((key, index) => {
      expect(answers[index], key).toContain(`${job}.${key} is missing`);
    });
  });

  it('the longest time of an install is a number, or left out', () => {
    const limited = (maxDuration: unknown) => ({ ...starts.install, install: { ...install, maxDuration } });
    expect(understood([limited(undefined), limited(null), limited(0.5)])).toEqual([null, null, null]);
    expect(understood([limited('1h'), limited(true)])).toEqual([
      expect.stringContaining('install.maxDuration'),
      expect.stringContaining('install.maxDuration'),
    ]);
  });

  it('what a sync may leave out is refused when it is of another type', () => {
    const wrong = [{ folders: 'a' }, { folders: [1] }, { allowRemovals: 'yes' }, { takeOver: 1 }, { index: 1 }];
    expect(understood(wrong.map((fields) => ({ ...starts.sync, sync: { ...sync, ...fields } })))).toEqual(
      wrong.map((fields) => `sync.${Object.keys(fields)[0]} has the wrong type`),
    );
  });

  it('the parts of what is said about checkpoints are checked', () => {
    const { folder: _folder, ...rest } = train.checkpoints ?? {};
    const works = [null, rest, { folder: null, ...rest }, { folder: '/etc', ...rest }, { folder: 'a/../..', ...rest }];
    const trains = works.map((checkpoints) => ({ ...starts.train, train: { ...train, checkpoints } }));
    const outside = 'train.checkpoints.folder is not a folder in the project';
    expect(understood(trains)).toEqual([null, 'train.checkpoints.folder is missing', null, outside, outside]);
    const keys = Object.keys(grant);
    const polls = keys.map((key) => ({ ...poll, checkpoints: { ...grant, [key]: undefined } }));
    expect(understood(polls)).toEqual(keys.map((key) => `checkpoints.${key} is missing`));
    expect(understood([{ ...poll, checkpoints: { ...grant, fields: { a: 1 } } }])).toEqual([
      'checkpoints.fields has the wrong type',
    ]);
  });

  it('the parts of a list of files are checked, and the path of a checkpoint to go on from', () => {
    const lists = ['url', 'sha256', 'bytes'].map((key) => ({ ...restore.list, [key]: undefined }));
    expect(understood(lists.map((list) => ({ ...starts.restore, restore: { ...restore, list } })))).toEqual([
      'restore.list.url is missing',
      'restore.list.sha256 is missing',
      'restore.list.bytes is missing',
    ]);
    const paths = [null, 'checkpoints/a.pt', '', '/etc/passwd', '../a', 'a/../../b', 'a\0b'];
    const trains = paths.map((resumeFrom) => ({ ...starts.train, train: { ...train, resumeFrom } }));
    const outside = 'train.resumeFrom is not a path in the project';
    expect(understood(trains)).toEqual([null, null, outside, outside, outside, outside, outside]);
  });

  it('an attempt is a whole number from 1 to the largest', () => {
    const attempts = [1, MAX_ATTEMPT, 0, MAX_ATTEMPT + 1, 1.5, '2', true, null];
    const refusal = `attempt is not a whole number from 1 to ${MAX_ATTEMPT}`;
    const answers = attempts.map((_, at) => (at < 2 ? null : refusal));
    expect(understood(attempts.map((attempt) => ({ ...poll, attempt })))).toEqual(answers);
    expect(understood(attempts.map((attempt) => ({ ...starts.sync, attempt })))).toEqual(answers);
  });

  it('the right to send a file in parts is checked', () => {
    const keys = Object.keys(parts);
    const uploads = keys.map((key) => ({ ...upload, parts: { a: { ...parts, [key]: undefined } } }));
    expect(understood(uploads)).toEqual(keys.map((key) => `parts.${key} is missing`));
    const wrong = [{ parts: [] }, { parts: { a: 'b' } }, { parts: { a: { ...parts, fields: { a: 1 } } } }];
    expect(understood(wrong.map((fields) => ({ ...upload, ...fields })))).toEqual([
      'parts has the wrong type',
      'parts has the wrong type',
      'parts.fields has the wrong type',
    ]);
    expect(understood([{ ...collect, maxBytesInParts: '1' }])).toEqual(['maxBytesInParts has the wrong type']);
  });

  it('a training starts exactly one of script, module and command', () => {
    const { script: _script, ...rest } = train as Extract<TrainRequest, { script: string }>;
    const entries = [{ module: 'pkg.train' }, { command: ['torchrun', 'x.py'] }, {}, { module: 'a', script: 'b.py' }];
    const wrong = [{ command: 'torchrun' }, { command: [3] }, { command: [] }, { module: ['a'] }, { command: ['a\0'] }];
    const requests = [...entries, ...wrong].map((fields) => ({ ...starts.train, train: { ...rest, ...fields } }));
    expect(understood(requests)).toEqual([
      null,
      null,
      'train.script is missing, and so are train.module and train.command',
      'train has more than one of script, module and command',
      'train.command has the wrong type',
      'train: args and env must be text without NUL',
      'train.script is missing, and so are train.module and train.command',
      'train.module has the wrong type',
      'train: args and env must be text without NUL',
    ]);
  });

  it('a scrub has names of what is made, and a delay within limits; no person may send one', () => {
    const images = [{ key: 'a' }, { base: 'a' }, { key: 'a/b', base: 'a' }, { key: 'a'.repeat(129), base: 'a' }];
    expect(understood(images.map((image) => ({ ...scrub, image })))).toEqual([
      'image.base is missing',
      'image.key is missing',
      'image.key is not a name of 128 characters at most',
      'image.key is not a name of 128 characters at most',
    ]);
    const limits = 'delay is not a number of seconds from 0 to 60';
    expect(understood([0, 60, -1, 61].map((delay) => ({ ...scrub, delay })))).toEqual([null, null, limits, limits]);
    expect(VERBS_FOR_PEOPLE).toEqual(['poll', 'probe', 'fetch']);
  });

  it('a queue without its ttl is refused, with its name', () => {
    const asked = { ...starts.sync, queue: { ttl: 60 } };
    expect(understood([asked, { ...asked, queue: {} }])).toEqual([null, 'queue.ttl is missing']);
  });

  it('of another protocol are refused', () => {
    expect(understood([{ ...release, protocol: PROTOCOL + 1 }])).toEqual([`this runner speaks protocol ${PROTOCOL}`]);
  });

  it('fit into a pipe as a whole, and so into the document', () => {
    expect(MAX_REQUEST_BYTES).toBeLessThan(65_536);
  });
});

describe('answers', () => {
  const status = jobStatus('train', 'a log\n', { exit: exit(), tail: ['a log'] });
  const collected = { state: 'collected', jobs: { train: 'exited' }, files: [{ name: 'n', bytes: 1, sha256: SHA256 }] };
  const answers: Record<Verb, object> = {
    start: { ...status, holder: { run: 'r', arn: 'a', since: 1 }, queue: { place: 1, length: 1, since: 1, ahead: [] } },
    poll: status,
    stop: { jobs: { sync: 'exited', restore: 'exited', train: 'running' } },
    collect: { ...collected, warnings: ['w'] },
    upload: { state: 'uploaded', failed: { name: 'why' } },
    release: { released: true, jobs: {} },
    idle: { verdict: 'busy', reasons: ['ann is logged in (pts/0)'], idleSeconds: 1.5, bootId: 'b' },
    scrub: { state: 'failed', reasons: ['an image must not have /home/a/key'], bootId: 'b' },
    fetch: { state: 'uploaded', files: 1, bytes: 1, sha256: SHA256, warnings: ['w'], failed: null },
  };

  it.each(Object.entries(answers) as [Verb, object][])('to %s are taken as they are', (verb, answer) => {
    expect(checkAnswer(verb, { ...answer, later: 1 })).toEqual(answer);
  });

  it.each(
    (Object.entries(answers) as [Verb, object][]).flatMap(([verb, answer]) =>
      Object.keys(answer)
        .filter((key) => !['queue', 'usage', 'checkpoints', 'environment'].includes(key)) // An older runner does not know them.
        .map((key) => [verb, key] as const),
    ),
  )('to %s without %s are a defect of the runner, with the name of the key', (verb, key) => {
    const broken = () => checkAnswer(verb, { ...answers[verb], [key]: undefined });
    expect(broken).toThrow(RunError);
    expect(broken).toThrow(new RegExp(`^the answer to ${verb} is not of the protocol: ${key} `));
  });

  it('of a runner that is older lack what it did not know', () => {
    const { put, ...log } = status.log;
    const { queue, usage, checkpoints, environment, ...older } = { ...status, log };
    expect(checkAnswer('poll', older)).toEqual({
      ...status,
      queue: null,
      usage: null,
      checkpoints: null,
      environment: null,
    });
  });

  it('of a keeper that is older have no notice', () => {
    const checkpoints = { state: 'watching', units: [], uploading: null, warnings: [] };
    const notice = { action: 'terminate', time: 1_795_000_000 };
    expect(checkAnswer('poll', { ...status, checkpoints }).checkpoints).toEqual({ ...checkpoints, notice: null });
    const noticed = { ...checkpoints, notice };
    expect(checkAnswer('poll', { ...status, checkpoints: noticed }).checkpoints).toEqual(noticed);
  });

  it.each(['a text', { name: 5, message: 'm' }, null])('have no error where the process of a job wrote %j', (error) => {
    expect(checkAnswer('poll', { ...status, result: { error, files: 3 } }).result).toEqual({ files: 3 });
  });

  it.each([
    ['cpuPercent', 101],
    ['memoryUsedBytes', -1],
    ['diskReadBytesPerS', 0.5],
    ['seconds', '10'],
    ['gpus', [{ ...usageSample().gpus[0], utilizationPercent: 1e9 }]],
    ['gpus', Array.from({ length: 17 }, () => usageSample().gpus[0])],
    ['job', null],
    ['warning', '\u001b[2J'],
    ['warning', 'x'.repeat(501)],
  ])('have no sample of the usage where its %s is %j', (key, value) => {
    const usage = usageSample();
    expect(checkAnswer('poll', { ...status, usage }).usage).toEqual(usage);
    expect(checkAnswer('poll', { ...status, usage: { ...usage, [key]: value } }).usage).toBeNull();
  });

  it('never have their values in the message: they may be of the log', () => {
    const secret = { ...status, tail: 'password=hunter2' };
    expect(() => checkAnswer('poll', secret)).toThrow(/^[\s\S]*tail \(invalid_type\)$/);
  });
});
