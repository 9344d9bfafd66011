import * as z from 'zod/mini';
import { RunError } from '../errors.ts';
import { JOBS } from '../names.ts';

/**
 * What the runner answers (instance/CONTRACT.md). Times are epoch seconds by the instance's clock, sizes bytes. A run keeps the runner that
 * it began with: keys that an older one does not know have a value here, and keys that are not known here are ignored.
 */

type DeepReadonly<T> = T extends [infer First, infer Second]
  ? readonly [DeepReadonly<First>, DeepReadonly<Second>]
  : T extends (infer Item)[]
    ? readonly DeepReadonly<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
      : T;

/** The runner has a job that no state machine starts yet: `restore`. Its type comes with its state, in names.ts. */
const RUNNER_JOBS = [...JOBS, 'restore'] as unknown as typeof JOBS;

const text = z.nullable(z.string());
const number = z.nullable(z.number());

const jobState = z.enum(['running', 'exited', 'stopped', 'vanished', 'absent', 'busy', 'refused']);
export type JobState = z.infer<typeof jobState>;

const jobExit = z.object({
  code: z.nullable(z.int()),
  signal: text,
  endedAt: z.number(),
  maxRssBytes: number,
  outOfMemory: z.boolean(),
});
export type JobExit = DeepReadonly<z.infer<typeof jobExit>>;

/** The job's process writes it, so a part of it may be missing. */
const jobProgress = z.object({
  phase: text,
  done: number,
  total: number,
  bytes: number,
  elapsed: number,
  current: text,
});
export type JobProgress = DeepReadonly<z.infer<typeof jobProgress>>;

const leaseHolder = z.object({ run: z.string(), arn: z.string(), since: z.number() });
export type LeaseHolder = DeepReadonly<z.infer<typeof leaseHolder>>;

/** Where a run is in the queue for the instance. */
const queuePlace = z.object({
  /** 1 is next. */
  place: z.int(),
  length: z.int(),
  since: z.number(),
  /** The oldest three before this run. */
  ahead: z.array(z.object({ run: z.string(), arn: z.string() })),
});
export type QueuePlace = DeepReadonly<z.infer<typeof queuePlace>>;

/** What a sync or an install reports at its end: its own keys, or an error. The job's process writes it: what is not an error is not read as one. */
const jobError = z.optional(z.object({ name: z.string(), message: z.string() }));
const jobResult = z.looseObject({
  error: z.catch(jobError, undefined),
  /** Of an install. */
  warnings: z.catch(z.optional(z.array(z.string())), undefined),
});
export type JobResult = DeepReadonly<z.infer<typeof jobResult>>;

const size = z.int().check(z.nonnegative());
const percent = z.number().check(z.minimum(0), z.maximum(100));
const gpu = z.object({
  index: size,
  utilizationPercent: z.nullable(percent),
  memoryUsedBytes: z.nullable(size),
  memoryTotalBytes: z.nullable(size),
  powerWatts: z.nullable(z.number().check(z.nonnegative())),
  temperatureCelsius: number,
});
/** What a training, its instance and the GPUs did in the `seconds` before `time`. */
export const usageSample = z.object({
  time: z.number(),
  seconds: z.number().check(z.nonnegative()),
  cores: size,
  cpuPercent: percent,
  memoryUsedBytes: size,
  memoryTotalBytes: size,
  diskUsedBytes: size,
  diskTotalBytes: size,
  diskReadBytesPerS: size,
  diskWriteBytesPerS: size,
  networkInBytesPerS: size,
  networkOutBytesPerS: size,
  /** All processes of the training; its CPU is a share of all cores. */
  job: z.object({ cpuPercent: percent, memoryBytes: size, processes: size }),
  gpus: z.array(gpu).check(z.maxLength(16)),
  /** That a GPU is idle, and what to do. */
  warning: z.nullable(z.string().check(z.regex(/^[ -~]{1,500}$/))),
});
export type UsageSample = DeepReadonly<z.infer<typeof usageSample>>;

const line = z.string().check(z.maxLength(400));
/** A checkpoint that is in S3 as a whole. */
const sentCheckpoint = z.object({
  seq: size,
  /** Its path in the project. */
  name: line,
  format: z.string().check(z.regex(/^[a-z0-9-]{1,40}$/)),
  /** Its format is not known: nothing but the quiet says that it is complete. */
  marked: z.boolean(),
  bytes: size,
  files: size,
  /** Nanoseconds since the epoch: the last change of it. */
  modified: z.number().check(z.nonnegative()),
  completeSince: z.number(),
  /** That sending it took. */
  seconds: z.number().check(z.nonnegative()),
  /** The object that lists its files: its key behind the grant's prefix and the number. */
  listing: z.object({ key: line, bytes: size, etag: z.string().check(z.regex(/^[0-9a-f]{32}$/)) }),
});
export type SentCheckpoint = DeepReadonly<z.infer<typeof sentCheckpoint>>;

/** That EC2 takes the instance away: what it does, and when, in epoch seconds. */
export const spotNotice = z.object({ action: z.enum(['terminate', 'stop', 'hibernate']), time: z.number() });
export type SpotNotice = DeepReadonly<z.infer<typeof spotNotice>>;

const keeperReport = z.object({
  /** `draining`: the training has ended, and the last ones are sent. `done`: no more comes. */
  state: z.enum(['watching', 'draining', 'done']),
  /** Sent, and not committed as far as the instance knows; the oldest first. */
  units: z.array(sentCheckpoint).check(z.maxLength(20)),
  uploading: z.nullable(z.object({ name: line, bytes: size, since: z.number() })),
  /** There is one that may soon be complete. Left out by an older runner. */
  pending: z.catch(z.optional(z.boolean()), undefined),
  warnings: z.array(line).check(z.maxLength(10)),
  notice: z._default(z.nullable(spotNotice), null),
});
export type KeeperReport = DeepReadonly<z.infer<typeof keeperReport>>;

const hash = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const sentEnvironment = z.object({
  state: z.literal('sent'),
  key: hash,
  /** Of the archive. */
  sha256: hash,
  bytes: size,
  packages: size,
  /** Of its parts, in order. */
  etags: z.array(z.string().check(z.regex(/^[0-9a-f]{32}$/))).check(z.minLength(1), z.maxLength(256)),
});
export type SentEnvironment = DeepReadonly<z.infer<typeof sentEnvironment>>;
const environmentReport = z.discriminatedUnion('state', [
  z.object({ state: z.literal('packing') }),
  z.object({ state: z.literal('failed'), message: line }),
  sentEnvironment,
]);
export type EnvironmentReport = DeepReadonly<z.infer<typeof environmentReport>>;

const jobStatus = z.object({
  job: z.enum(RUNNER_JOBS),
  state: jobState,
  reason: text,
  holder: z.nullable(leaseHolder),
  queue: z._default(z.nullable(queuePlace), null),
  pid: z.nullable(z.int()),
  startedAt: number,
  now: z.number(),
  exit: z.nullable(jobExit),
  progress: z.nullable(jobProgress),
  /** Of a training, the latest sample. It is for people: one that is not valid counts as none. */
  usage: z.catch(z._default(z.nullable(usageSample), null), null),
  /** Of a training whose request had a right to send checkpoints: what its keeper reports. */
  checkpoints: z.catch(z._default(z.nullable(keeperReport), null), null),
  /** Of a training whose request had a right to store the environment. */
  environment: z.catch(z._default(z.nullable(environmentReport), null), null),
  result: z.nullable(jobResult),
  log: z.object({
    offset: z.int(),
    bytes: z.int(),
    size: z.int(),
    data: z.string(),
    /** Hex SHA-256 of the gzip that was PUT instead of answered. */
    put: z._default(text, null),
    /** Bytes of the log, and the epoch milliseconds when it had them. Of a request with `times`. */
    times: z.optional(z.array(z.tuple([z.int(), z.int()]))),
  }),
  tail: z.nullable(z.array(z.string())),
  bootId: z.string(),
});
export type JobStatus = DeepReadonly<z.infer<typeof jobStatus>>;

/** Of a job's latest attempt on the instance. */
const jobStates = z.partialRecord(z.enum(RUNNER_JOBS), jobState);
export type JobStates = DeepReadonly<z.infer<typeof jobStates>>;

const collectedFile = z.object({ name: z.string(), bytes: z.int(), sha256: z.string() });
export type CollectedFile = DeepReadonly<z.infer<typeof collectedFile>>;

/** By the request's verb. */
export const ANSWERS = {
  start: jobStatus,
  poll: jobStatus,
  stop: z.object({ jobs: jobStates }),
  collect: z.object({
    state: z.enum(['ending', 'collecting', 'collected']),
    jobs: jobStates,
    files: z.nullable(z.array(collectedFile)),
    warnings: z.array(z.string()),
  }),
  upload: z.object({
    state: z.enum(['uploading', 'uploaded', 'absent']),
    failed: z.record(z.string(), z.string()),
    /** Of files that were sent in parts: the object that lists these. */
    parts: z.optional(
      z.record(z.string(), z.object({ bytes: size, etag: z.string().check(z.regex(/^[0-9a-f]{32}$/)) })),
    ),
  }),
  fetch: z.object({
    state: z.enum(['absent', 'packing', 'packed', 'uploading', 'uploaded']),
    /** How many are in the archive. */
    files: z.int(),
    bytes: z.int(),
    sha256: text,
    warnings: z.array(z.string()),
    /** Why it was not sent; null: it was, or is not sent yet. */
    failed: text,
  }),
  release: z.object({ released: z.boolean(), jobs: jobStates }),
  idle: z.object({
    /** `stopping`: it is marked. `in-use`: a run has it, waits for it, or had it later. `busy`: see reasons. `quiet`: not for long enough. */
    verdict: z.enum(['stopping', 'in-use', 'busy', 'quiet']),
    reasons: z.array(z.string()),
    /** Since a run used it, or since its boot. */
    idleSeconds: z.number(),
    bootId: z.string(),
  }),
  scrub: z.object({
    /** `busy`: a run uses it; nothing has changed. `scrubbing`: it powers itself off at the end. `failed`: see reasons; it stays on. */
    state: z.enum(['busy', 'scrubbing', 'failed']),
    reasons: z.array(z.string()),
    bootId: z.string(),
  }),
} as const;
export type Verb = keyof typeof ANSWERS;
export type AnswerTo<V extends Verb> = DeepReadonly<z.infer<(typeof ANSWERS)[V]>>;

/**
 * The answer to a request, checked.
 * @throws RunError `RunnerBroken` that names the key, never its value, which may be the user's
 */
export function checkAnswer<V extends Verb>(verb: V, answer: object): AnswerTo<V> {
  return check(ANSWERS[verb], verb, answer) as AnswerTo<V>;
}

/** @throws RunError `RunnerBroken` */
export function check<T extends z.ZodMiniType>(schema: T, verb: string, answer: object): z.output<T> {
  const { data, error } = z.safeParse(schema, answer);
  if (error === undefined) return data;
  const [issue] = error.issues;
  const key = issue?.path.join('.') || 'the whole';
  throw new RunError('RunnerBroken', `the answer to ${verb} is not of the protocol: ${key} (${issue?.code})`);
}
