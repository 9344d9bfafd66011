import * as z from 'zod/mini';
import { ERRORS, OUTCOMES } from '../errors.ts';

const seconds = z.number().check(z.nonnegative());
const count = z.int().check(z.nonnegative());
const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const time = z.string().check(z.iso.datetime());
const text = z.nullable(z.string());

const job = z.object({
  state: z.string(),
  exitCode: z.nullable(z.int()),
  signal: text,
  outOfMemory: z.boolean(),
  maxRssBytes: z.nullable(count),
  pid: z.nullable(z.int()),
  endedAt: z.nullable(time),
  polls: count,
  pollFailures: count,
  /** Raw bytes of the job's log that stand in CloudWatch. */
  logBytes: count,
  result: z.nullable(z.record(z.string(), z.unknown())),
});

/** `runs/<run id>/manifest.json`. Keys are only ever added within a version. */
export const manifestSchema = z.object({
  version: z.literal(1),
  run: z.object({ id: z.string(), arn: z.string(), startedAt: time, endedAt: time, seconds }),
  outcome: z.enum(OUTCOMES),
  error: z.nullable(z.enum(Object.keys(ERRORS))),
  message: z.string(),
  next: text,
  exitCode: z.nullable(z.int()),
  signal: text,
  pid: z.nullable(z.int()),
  lastLines: z.array(z.string()),
  warnings: z.array(z.string()),
  /** As resolved, or as it was asked when it was refused; values that look like secrets are `***`. */
  spec: z.nullable(z.record(z.string(), z.unknown())),
  archive: z.nullable(
    z.object({
      bucket: z.string(),
      key: z.string(),
      versionId: text,
      sha256,
      bytes: count,
      files: count,
      gitCommit: text,
      /** Something in the archive is not as that commit has it; null without a commit. */
      gitDirty: z.nullable(z.boolean()),
    }),
  ),
  instance: z.nullable(z.object({ id: z.string(), type: z.string(), image: z.string(), platform: z.string() })),
  python: z.nullable(z.object({ path: z.string(), version: z.string() })),
  packages: z.record(z.string(), z.string()),
  jobs: z.object({ sync: z.nullable(job), install: z.nullable(job), train: z.nullable(job) }),
  states: z.array(z.object({ name: z.string(), entered: count, seconds })),
  polls: count,
  pollFailures: count,
  logBytes: count,
  outputs: z.object({
    archive: z.nullable(z.object({ key: z.string(), bytes: count, sha256 })),
    count,
    /** The first 5,000; `inventory.json` beside this has all. */
    files: z.array(z.object({ path: z.string(), bytes: count, sha256 })),
  }),
  logs: z.array(z.object({ job: z.enum(['sync', 'install', 'train']), key: z.string(), bytes: count, sha256 })),
  /** Of runctl itself, at list prices; not of the instance. */
  cost: z.object({ usd: z.number(), note: z.string() }),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** What the finisher says of the outputs and the interpreter (instance/CONTRACT.md). */
export const inventorySchema = z.object({
  outputs: z.array(z.object({ path: z.string(), bytes: count, sha256 })),
  python: z.nullable(z.object({ path: z.string(), version: z.string() })),
  packages: z.record(z.string(), z.string()),
});

export type Inventory = z.infer<typeof inventorySchema>;
