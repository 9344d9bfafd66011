import * as z from 'zod/mini';
import { PRICE_SOURCES } from '../../core/cost/price.ts';
import { ERRORS, OUTCOMES } from '../../core/errors.ts';
import { JOBS } from '../../core/names.ts';
import { RUN_WORDS } from '../../core/workflow/vocabulary.ts';

/**
 * What each command prints with --json: the type of its output, the published schema (runctl.output.schema.json) and the tables of
 * docs/reference/json.md. Keys may be added; existing ones keep their meaning.
 */

type Described = z.ZodMiniType;
const about = <T extends Described>(schema: T, description: string): T => schema.check(z.describe(description)) as T;
const or = <T extends Described>(schema: T) => z.nullable(schema);
const text = z.string();
const count = z.int().check(z.nonnegative());
const seconds = z.number().check(z.nonnegative());
const time = z.iso.datetime();

/** Of every command that names a run. */
const identity = {
  id: about(text, 'the run id'),
  arn: about(text, 'ARN of the execution'),
  project: about(or(text), 'null: the archive was refused before it was known'),
  state: about(z.enum(RUN_WORDS), 'what the run does; once it has ended, its outcome. Never null'),
  outcome: about(or(z.enum(OUTCOMES)), 'how it ended; null until everything of it is saved'),
};

const ending = {
  message: about(or(text), 'how it ended, in one or two sentences; null until it has ended'),
  next: about(or(text), 'what to do next; null when there is nothing to do'),
  error: about(or(z.enum(Object.keys(ERRORS))), 'the name in docs/reference/errors.md; null when it succeeded'),
  exitCode: about(or(z.int()), 'of the script'),
  signal: about(or(text), 'that ended the script'),
  lastLines: about(z.array(text), 'of the log of a training that did not succeed'),
  warnings: z.array(text),
};

const gap = about(z.optional(z.enum(['nan', 'inf', '-inf'])), 'of a value that is not a number');
const point = { step: z.number(), value: about(or(z.number()), 'null for a gap'), gap };
const latest = z.object({ name: text, ...point });

export const runSchema = z.object({
  ...identity,
  startedAt: time,
  endedAt: or(time),
  seconds: about(seconds, 'from the start to the end, or until now'),
  queueSeconds: about(or(seconds), 'spent waiting for the instance; null: not known'),
  trainingSeconds: about(or(seconds), 'spent training; null: it has not begun to, or not known'),
  instance: about(or(text), 'its id; until it was found, what the run asked for'),
  script: about(or(text), 'what it starts: a script, `-m module`, or the words of a command'),
  args: about(or(z.array(text)), 'arguments of the script, values that look like secrets as `***`; null: not known'),
  gitCommit: about(or(text), 'of the code, when it was packed in a git work tree'),
  gitDirty: about(or(z.boolean()), 'the code had changes beside that commit'),
  name: about(or(text), 'that the run was given'),
  note: about(or(text), 'that the run was given'),
  startedBy: about(or(text), 'who or what started it, as recorded at the start: not verified'),
  costUsd: about(or(z.number()), 'estimate for runctl itself, without the instance; null: not known (yet)'),
  instanceCostUsd: about(
    or(z.number()),
    'estimate for the instance, so far or in total, without the queue; null: not known',
  ),
  metrics: about(z.array(latest), 'latest values of the training, as of the last poll'),
  isKept: about(z.boolean(), 'outputs, logs and manifest are saved'),
});

export const listSchema = z.array(runSchema);

const progress = z.object({
  phase: or(text),
  done: or(count),
  total: or(count),
  bytes: or(count),
  elapsed: or(seconds),
  current: or(text),
});

const percent = z.number().check(z.minimum(0), z.maximum(100));
const usage = z.object({
  time,
  seconds: about(seconds, 'before `time`, of which the sample is'),
  cores: count,
  cpuPercent: about(percent, 'of all cores'),
  memoryUsedBytes: count,
  memoryTotalBytes: count,
  diskUsedBytes: count,
  diskTotalBytes: count,
  diskReadBytesPerS: count,
  diskWriteBytesPerS: count,
  networkInBytesPerS: count,
  networkOutBytesPerS: count,
  job: about(z.object({ cpuPercent: percent, memoryBytes: count, processes: count }), 'the processes of the training'),
  gpus: z.array(
    z.object({
      index: count,
      utilizationPercent: or(percent),
      memoryUsedBytes: or(count),
      memoryTotalBytes: or(count),
      powerWatts: or(z.number()),
      temperatureCelsius: or(z.number()),
    }),
  ),
});

export const statusSchema = z.object({
  ...runSchema.shape,
  ...ending,
  projectFrom: about(or(text), 'where the name of the project comes from, in words'),
  instanceType: or(text),
  instanceRequested: about(or(text), 'what the run asked for: an id, or tag:Key=value'),
  instanceFrom: about(or(text), 'where that comes from, in words'),
  pid: about(or(z.int()), 'of the training on the instance'),
  queue: about(
    or(
      z.object({
        place: about(or(count), '1 is next'),
        length: or(count),
        since: or(time),
        holder: or(z.object({ run: text, since: time })),
      }),
    ),
    'while it waits for its instance',
  ),
  install: about(or(progress), 'of the install, while it lasts'),
  silentSince: about(or(time), 'since when the instance has not answered; null: it does'),
  job: about(or(z.enum(JOBS)), 'the job that ran last'),
  lastLine: about(or(text), 'of the log of that job'),
  lastLineAt: about(or(time), 'when runctl read that line'),
  usage: about(or(usage), 'of the instance and the training, as of the last poll; null: not known'),
  checkpoint: about(
    or(z.object({ seq: count, name: text, format: text, bytes: count, marked: z.boolean(), committedAt: time })),
    'the newest one in S3, as of the last poll; null: none is known',
  ),
  attempt: about(count, 'the attempt that is under way, or the last one'),
  attempts: about(
    z.array(z.object({ attempt: count, outcome: z.enum(OUTCOMES), message: text, seconds: z.number() })),
    'the attempts before it; seconds: of training',
  ),
  endsBy: about(or(time), 'when maxDuration or maxCost ends the training, at the latest; null unless it trains'),
  endsByCost: about(z.boolean(), 'maxCost ends it, before maxDuration does'),
  maxCostUsd: about(or(z.number()), 'the cap of the run spec; null: none, or not known yet'),
  instanceCost: about(
    or(
      z.object({
        usd: z.number(),
        seconds: about(seconds, 'for which the run has used it, without the queue'),
        usdPerHour: z.number(),
        source: about(text, `of the price: ${PRICE_SOURCES.join(', ')}`),
        at: about(time, 'when the price was read'),
      }),
    ),
    'estimate for the instance, so far or in total; null: not known',
  ),
  manifest: about(or(z.record(z.string(), z.unknown())), 'the manifest, once it is saved'),
});

export const checkpointsSchema = z.object({
  id: about(text, 'the run id'),
  lineage: about(text, 'the first of the runs that continue one another'),
  project: or(text),
  latest: about(or(count), 'number of the newest; null: there is none'),
  uploading: about(or(text), 'the one that was being sent at the last poll'),
  checkpoints: about(
    z.array(
      z.object({
        seq: about(count, 'grows with each checkpoint'),
        run: about(text, 'that wrote it'),
        name: about(text, 'its path in the project'),
        format: text,
        marked: about(z.boolean(), 'the format is not known: it was complete as far as runctl can tell'),
        bytes: count,
        modified: time,
        committedAt: time,
        files: about(
          z.array(z.object({ path: text, uris: z.array(text) })),
          'with the objects that they are stored in; a large file has several',
        ),
      }),
    ),
    'the newest first',
  ),
});

export const startSchema = z.object({
  ...identity,
  ...ending,
  archive: about(text, 's3://bucket/key of the code'),
  runId: about(text, 'the same as id'),
  executionArn: about(text, 'the same as arn'),
});

export const planSchema = z.object({
  dryRun: z.literal(true),
  project: text,
  script: about(or(text), 'what would start: a script, `-m module`, or a command; null: as the archive says'),
  requirements: about(or(text), 'what is installed; null: nothing, or as the archive says'),
  args: z.array(text),
  instance: about(or(text), 'its id; null: as the archive says'),
  files: about(or(count), 'that would be packed; null with --archive'),
  bytes: or(count),
  archiveBytes: about(or(count), 'packed'),
  archive: about(or(text), 'given with --archive'),
  gitCommit: or(text),
  gitDirty: or(z.boolean()),
  removals: about(
    or(z.object({ files: count, bytes: count })),
    'what the sync removes, by the last run of this folder on this instance; null: not known',
  ),
});

export const pushSchema = z.object({
  archive: about(text, 's3://bucket/key'),
  project: text,
  sha256: text,
  files: count,
  bytes: count,
  archiveBytes: about(count, 'packed'),
  reused: about(z.boolean(), 'the same archive was stored already'),
  sentBytes: about(count, 'uploaded: of the archive, or of a patch that it is assembled from'),
  changedFiles: about(or(count), 'since the last upload of this folder; null: not known'),
  gitCommit: or(text),
  gitDirty: or(z.boolean()),
  secretsLeftOut: about(z.array(text), 'files that look like secrets, which were not packed'),
  runId: about(or(text), 'with --start'),
});

export const metricsSchema = z.array(
  z.object({
    run: about(text, 'the run id'),
    metrics: z.array(
      z.object({
        name: text,
        points: about(count, 'how many'),
        firstStep: z.number(),
        last: or(z.number()),
        gap: or(z.enum(['nan', 'inf', '-inf'])),
        lastStep: z.number(),
        min: or(z.number()),
        max: or(z.number()),
        gapSince: about(or(z.number()), 'the step since which it has no number'),
        values: z.array(z.object({ ...point, attempt: count })),
      }),
    ),
  }),
);
export const metricLineSchema = z.object({ run: text, metric: text, ...point, attempt: count });

export const stopSchema = z.array(
  z.object({
    ...identity,
    message: about(text, 'what happened'),
    isKept: about(z.boolean(), 'outputs, logs and manifest are saved'),
  }),
);

export const pullSchema = z.array(
  z.object({
    id: text,
    outcome: about(or(z.enum(OUTCOMES)), 'null: the run has not ended, and the files are those so far'),
    folder: about(text, 'where the files are, absolute'),
    outputs: about(count, 'files that the run wrote'),
    also: about(count, 'files that --also fetched from the instance'),
    logs: count,
    overwritten: about(z.array(text), 'files that had other content, with --force'),
  }),
);

export const reportSchema = z.object({
  file: about(text, 'the report, absolute'),
  runs: about(z.array(text), 'the runs in it'),
});

export const uiSchema = z.object({
  url: about(text, 'address of the page, with the token'),
  port: z.int(),
});

export const logLineSchema = z.object({
  job: z.enum(JOBS),
  time: about(time, 'when runctl read the line from the instance'),
  text,
});

const spec = about(z.record(z.string(), z.unknown()), 'the run spec of each run');
const schedule = {
  name: about(text, 'its full name, as `schedule remove` takes it'),
  expression: text,
  timezone: text,
  next: about(z.array(time), 'the next three times; empty when it is disabled or over'),
  spec,
};
export const scheduleSchema = z.object(schedule);
export const schedulesSchema = z.array(
  z.object({
    ...schedule,
    enabled: z.boolean(),
    ownedByStack: about(z.boolean(), 'defined in cdk.json'),
    createdAt: time,
  }),
);
export const removedScheduleSchema = z.object({ name: text });

export const instanceSchema = z.object({
  id: text,
  type: about(text, 'such as g5.xlarge'),
  state: about(text, "EC2's name of it: pending, running, stopping, stopped"),
  startedAt: about(or(time), 'its last start; null: not known'),
  agent: about(or(text), "SSM's PingStatus of its agent, Online when runs can use it; null: not known, or not running"),
  enabled: about(z.boolean(), 'it has the tag runctl=enabled'),
  managed: about(z.boolean(), 'it also has the tag runctl:power=managed: runs start it, and it is stopped after them'),
  stopAfter: about(
    or(z.union([seconds, z.literal('never')])),
    'how long it runs on after a run that does not say it; null: it is not managed',
  ),
  runs: about(
    z.array(z.object({ id: text, project: or(text), state: z.enum(RUN_WORDS) })),
    'that use it, or wait for it',
  ),
});

export const bakeSchema = z.object({
  id: about(text, 'name of the execution of runctl-bake'),
  executionArn: text,
  image: about(or(text), 'ami-…; null: the bake goes on (--detach)'),
  key: about(or(text), 'SHA-256 of what the packages of the image depend on'),
  base: about(or(text), 'the image that it was made from'),
  made: about(or(z.boolean()), 'false: there was an image of this key already'),
});
export const imagesSchema = z.array(
  z.object({
    id: about(text, 'ami-…'),
    state: about(text, "EC2's name of it: pending, available, failed"),
    current: about(z.boolean(), 'the parameter /runctl/images/<project>/current names it'),
    createdAt: time,
    publishedAt: about(or(time), 'when an instance from it had passed its test; null: it has not'),
    gigabytes: about(count, 'GiB of its volumes'),
    key: or(text),
    base: about(or(text), 'the image that it was made from'),
    bake: about(or(text), 'name of the execution that made it'),
  }),
);
export const usedImageSchema = z.object({
  launchTemplate: text,
  version: about(text, 'its default version now'),
  image: text,
  previousVersion: about(text, 'its default version before'),
});
export const removedImageSchema = z.object({ id: text, project: text, snapshots: z.array(text) });

export const doctorSchema = z.object({
  ok: about(z.boolean(), 'no check failed'),
  checks: z.array(
    z.object({
      name: text,
      state: about(z.enum(['ok', 'warning', 'failed', 'skipped']), 'skipped: a check that it depends on failed'),
      detail: text,
      fix: about(z.array(text), 'commands, or sentences with one, that fix the problem'),
    }),
  ),
});

const service = { pid: z.int(), healthy: z.boolean() };
export const localStatusSchema = z.object({
  version: about(text, 'of runctl'),
  up: about(z.boolean(), 'both services answer'),
  endpoint: or(text),
  ssmEndpoint: or(text),
  region: or(text),
  instanceId: or(text),
  ministack: or(z.object(service)),
  agent: or(z.object({ ...service, command: or(text) })),
  deployed: about(
    or(z.object({ at: time, outputs: z.record(z.string(), text) })),
    'when, and the outputs of the stack',
  ),
  logs: about(text, 'folder of the logs of the services'),
});
export const localEnvSchema = about(z.record(z.string(), text), 'variables by name');

export const errorSchema = z.object({
  error: z.object({
    kind: about(
      z.enum(['usage', 'set-up', 'fault']),
      'usage: the command or its input is wrong; set-up: AWS, the network or the set-up failed; fault: a defect of runctl',
    ),
    message: about(text, 'what happened'),
    next: about(or(text), 'what to do next'),
    exitCode: about(z.int(), 'of the command'),
  }),
});

/** By command, in the order of docs/reference/json.md; `error` is what any of them prints when it fails. */
export const OUTPUTS = {
  run: startSchema,
  'run --dry-run': planSchema,
  push: pushSchema,
  list: listSchema,
  status: statusSchema,
  logs: logLineSchema,
  metrics: metricsSchema,
  'metrics --follow': metricLineSchema,
  checkpoints: checkpointsSchema,
  stop: stopSchema,
  pull: pullSchema,
  report: reportSchema,
  ui: uiSchema,
  'schedule add': scheduleSchema,
  'schedule list': schedulesSchema,
  'schedule remove': removedScheduleSchema,
  'instance status': instanceSchema,
  'instance start': instanceSchema,
  'instance stop': instanceSchema,
  'image bake': bakeSchema,
  'image list': imagesSchema,
  'image use': usedImageSchema,
  'image remove': removedImageSchema,
  doctor: doctorSchema,
  'local status': localStatusSchema,
  'local env': localEnvSchema,
  error: errorSchema,
} as const;

export type RunOutput = z.infer<typeof runSchema>;
export type StatusOutput = z.infer<typeof statusSchema>;
export type CheckpointsOutput = z.infer<typeof checkpointsSchema>;
export type InstanceOutput = z.infer<typeof instanceSchema>;
export type BakeOutput = z.infer<typeof bakeSchema>;
export type ImagesOutput = z.infer<typeof imagesSchema>;
export type UsedImageOutput = z.infer<typeof usedImageSchema>;
export type StartOutput = z.infer<typeof startSchema>;
export type PlanOutput = z.infer<typeof planSchema>;
export type PushOutput = z.infer<typeof pushSchema>;
export type MetricsOutput = z.infer<typeof metricsSchema>;
export type StopOutput = z.infer<typeof stopSchema>[number];
export type PullOutput = z.infer<typeof pullSchema>[number];
export type ReportOutput = z.infer<typeof reportSchema>;
export type UiOutput = z.infer<typeof uiSchema>;
export type LogLineOutput = z.infer<typeof logLineSchema>;
export type ScheduleOutput = z.infer<typeof scheduleSchema>;
export type ListedScheduleOutput = z.infer<typeof schedulesSchema>[number];
export type DoctorOutput = z.infer<typeof doctorSchema>;
export type LocalStatusOutput = z.infer<typeof localStatusSchema>;
export type ErrorOutput = z.infer<typeof errorSchema>;
