import { gzipSync } from 'node:zlib';
import type { Execution } from '../../../aws/executions.ts';
import type { Price } from '../../../core/cost/price.ts';
import type { JobName } from '../../../core/names.ts';
import type { JobStatus, UsageSample } from '../../../core/protocol/answers.ts';
import { resolveSpec } from '../../../core/spec/spec.ts';
import type { FoundInstance } from '../../../core/workflow/choose-instance.ts';
import type {
  FinishInput,
  Instance,
  JobInput,
  JobSnapshot,
  Run,
  StepContext,
  VerifiedArchive,
  VerifyOutput,
  WatchInput,
} from '../../../core/workflow/data.ts';

/** Valid sample values of each state's types. A test changes the ones that it needs. */

export const SHA256 = 'a'.repeat(64);
export const MACHINE_ARN = 'arn:aws:states:eu-central-1:111122223333:stateMachine:runctl-run';

export const run: Run = {
  id: 'demo-1',
  key: 'demo-1-0123456789abcdef',
  arn: 'arn:aws:states:eu-central-1:111122223333:execution:runctl-run:demo-1',
  startedAt: '2026-11-24T10:00:00.000Z',
  program: { sha256: SHA256, documentVersion: '3', bucket: 'cdk-assets', key: 'runctl/program.zip' },
};

/** A running execution of the run above. */
export function execution(changes: Partial<Execution> = {}): Execution {
  const startedAt = Date.parse(run.startedAt);
  const none = { endedAt: null, input: '{}', output: null, error: null, cause: null };
  return { arn: run.arn, name: run.id, status: 'RUNNING', startedAt, ...none, ...changes };
}

export const archive: VerifiedArchive = {
  bucket: 'uploads-bucket',
  key: 'uploads/demo/code.tar.gz',
  versionId: 'v1',
  sha256: SHA256,
  bytes: 1000,
  files: 3,
  expandedBytes: 5000,
  strip: null,
  requirements: 'requirements.txt',
  gitCommit: null,
  gitDirty: null,
};

export const instance: Instance = {
  id: 'i-0123456789abcdef0',
  root: '/var/lib/runctl',
  home: null,
  user: null,
  users: [],
  projects: null,
  imds: false,
  platform: 'linux',
  type: 'g5.xlarge',
  image: 'ami-1',
};

export const foundInstance: FoundInstance = {
  id: instance.id,
  state: 'running',
  platform: 'linux',
  type: 'g5.xlarge',
  image: 'ami-1',
  tags: { runctl: 'enabled', Project: 'demo' },
  priced: { type: 'g5.xlarge', zone: 'eu-central-1a', isSpot: false, isPlain: true },
  startedAt: null,
  reason: null,
};

export const price: Price = { usdPerHour: 1.258, source: 'pricing', at: '2026-11-24T10:00:05.000Z' };
export const prices = { priceOf: () => Promise.resolve(price) };

export const spec: VerifyOutput['spec'] = {
  ...resolveSpec({}),
  project: 'demo',
  instance: 'tag:Project=demo',
  script: 'train.py',
};

export const firstTry: StepContext = { enteredAt: '2026-11-24T10:00:10.000Z', retryCount: 0 };
export const secondTry: StepContext = { ...firstTry, retryCount: 1 };
export const ENTERED = Date.parse(firstTry.enteredAt);

export function jobStep(job: JobName, changes: Partial<JobSnapshot> = {}): JobSnapshot {
  return {
    job,
    state: 'running',
    ended: false,
    ok: false,
    more: false,
    wait: 2,
    pid: 4242,
    confirmed: false,
    reason: null,
    exit: null,
    progress: null,
    result: null,
    holder: null,
    queue: null,
    waiting: null,
    tail: null,
    cursor: { offset: 0, eventTime: 0 },
    backlog: 0,
    logFull: false,
    silentSince: null,
    polls: 0,
    pollFailures: 0,
    ...changes,
  };
}

export function exit(changes: Partial<NonNullable<JobSnapshot['exit']>> = {}): NonNullable<JobSnapshot['exit']> {
  return { code: 0, signal: null, endedAt: 1_795_000_000, maxRssBytes: 1, outOfMemory: false, ...changes };
}

/** A job that ended with this exit code. */
export function endedStep(job: JobName, code: number, changes: Partial<JobSnapshot> = {}): JobSnapshot {
  return jobStep(job, { state: 'exited', ended: true, ok: code === 0, exit: exit({ code }), ...changes });
}

/** An answer of the runner, with `text` as its log from `offset`. */
export function jobStatus(job: JobName, log: Uint8Array | string, changes: Partial<JobStatus> = {}): JobStatus {
  const bytes = Buffer.from(log);
  return {
    job,
    state: 'running',
    reason: null,
    holder: null,
    queue: null,
    pid: 4242,
    startedAt: 1_795_000_000,
    now: 1_795_000_010,
    exit: null,
    progress: null,
    usage: null,
    checkpoints: null,
    environment: null,
    result: null,
    log: { offset: 0, bytes: bytes.length, size: bytes.length, data: gzipSync(bytes).toString('base64'), put: null },
    tail: null,
    bootId: 'boot',
    ...changes,
  };
}

export function usageSample(changes: Partial<UsageSample> = {}): UsageSample {
  return {
    time: 1_795_000_009,
    seconds: 10,
    cores: 4,
    cpuPercent: 84.6,
    memoryUsedBytes: 12_000_000_000,
    memoryTotalBytes: 64_000_000_000,
    diskUsedBytes: 20_000_000_000,
    diskTotalBytes: 100_000_000_000,
    diskReadBytesPerS: 1_000,
    diskWriteBytesPerS: 2_000,
    networkInBytesPerS: 3_000,
    networkOutBytesPerS: 4_000,
    job: { cpuPercent: 80, memoryBytes: 8_000_000_000, processes: 5 },
    gpus: [
      {
        index: 0,
        utilizationPercent: 97,
        memoryUsedBytes: 20_000_000_000,
        memoryTotalBytes: 24_000_000_000,
        powerWatts: 301.5,
        temperatureCelsius: 71,
      },
    ],
    warning: null,
    ...changes,
  };
}

export const verified: VerifyOutput = { run, spec, archive, warnings: [] };

export function jobInput(changes: Partial<JobInput> = {}): JobInput {
  return { ...verified, instance, context: firstTry, step: null, ...changes };
}

export function watchInput(step: JobSnapshot, context: StepContext = firstTry): WatchInput {
  return { ...verified, instance, context, step };
}

export function finishInput(changes: Partial<FinishInput> = {}): FinishInput {
  return {
    execution: { name: run.id, arn: run.arn, startedAt: run.startedAt },
    input: { archive: 's3://uploads-bucket/uploads/demo/code.tar.gz' },
    context: firstTry,
    watches: 1,
    finish: null,
    run,
    spec,
    archive,
    instance,
    warnings: [],
    sync: endedStep('sync', 0),
    install: endedStep('install', 0),
    train: endedStep('train', 0, { confirmed: true }),
    failure: null,
    ...changes,
  };
}
