import * as z from 'zod/mini';
import { PRICE_SOURCES } from '../cost/price.ts';
import { ERRORS, OUTCOMES } from '../errors.ts';
import { JOBS } from '../names.ts';
import { endingFields, type Reading, STRICT, TOLERANT } from '../workflow/run-ending.ts';

const seconds = z.number().check(z.nonnegative());
const count = z.int().check(z.nonnegative());
const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const time = z.string().check(z.iso.datetime());
const text = z.nullable(z.string());

/** `runs/<run id>/manifest.json`. Keys are only ever added within a version. */
const manifest = (reading: Reading) => {
  const { object, or } = reading;
  const job = object({
    state: or(z.string(), 'unknown'),
    exitCode: or(z.nullable(z.int()), null),
    signal: or(text, null),
    outOfMemory: or(z.boolean(), false),
    maxRssBytes: or(z.nullable(count), null),
    pid: or(z.nullable(z.int()), null),
    endedAt: or(z.nullable(time), null),
    polls: or(count, 0),
    pollFailures: or(count, 0),
    /** Raw bytes of the job's log that CloudWatch has. */
    logBytes: or(count, 0),
    result: or(z.nullable(z.record(z.string(), z.unknown())), null),
  });
  return object({
    version: z.literal(1),
    run: object({ id: z.string(), arn: z.string(), startedAt: time, endedAt: time, seconds: or(seconds, 0) }),
    ...endingFields(reading),
    error: or(z.nullable(reading === STRICT ? z.enum(Object.keys(ERRORS)) : z.string()), null),
    pid: or(z.nullable(z.int()), null),
    /** As resolved, or as requested when it was refused; values that look like secrets are `***`. */
    spec: or(z.nullable(z.record(z.string(), z.unknown())), null),
    archive: or(
      z.nullable(
        object({
          bucket: z.string(),
          key: z.string(),
          versionId: or(text, null),
          sha256,
          bytes: count,
          files: or(count, 0),
          gitCommit: or(text, null),
          /** The archive has changes beside that commit; null without a commit. */
          gitDirty: or(z.nullable(z.boolean()), null),
          /** What was uploaded instead of it; null: all of it, or it was stored already. */
          patchBytes: or(z.nullable(count), null),
          /** As the command that started the run says, not verified; null: it did not say, or it cannot be. */
          sent: or(z.nullable(object({ bytes: count, changedFiles: or(z.nullable(count), null) })), null),
        }),
      ),
      null,
    ),
    instance: or(
      z.nullable(
        object({
          id: z.string(),
          type: z.string(),
          image: or(z.string(), 'unknown'),
          platform: or(z.string(), 'linux'),
        }),
      ),
      null,
    ),
    /** Of runctl itself on the instance: the program, and the version of the document that runs it. */
    program: or(z.nullable(object({ sha256, documentVersion: z.string() })), null),
    python: or(z.nullable(object({ path: z.string(), version: z.string() })), null),
    packages: or(z.record(z.string(), z.string()), {}),
    /** The project's own environment; null: the run did not use one that is kept in S3. */
    environment: or(
      z.nullable(
        object({
          /** SHA-256 of all that its install depends on. */
          key: sha256,
          /** Of its archive in S3; null: it was not stored while the run lasted. */
          sha256: or(z.nullable(sha256), null),
          /** It came from S3 in place of an install. */
          restored: or(z.boolean(), false),
        }),
      ),
      null,
    ),
    jobs: or(
      object({
        sync: or(z.nullable(job), null),
        install: or(z.nullable(job), null),
        /** Of a run that went on from a checkpoint. */
        restore: or(z.nullable(job), null),
        train: or(z.nullable(job), null),
      }),
      { sync: null, install: null, restore: null, train: null },
    ),
    /** The attempts of the run, the last one included. */
    attempts: or(
      z.array(
        object({
          attempt: z.int(),
          outcome: reading === STRICT ? z.enum(OUTCOMES) : z.string(),
          error: or(text, null),
          message: or(z.string(), ''),
          instance: or(text, null),
          seconds: or(seconds, 0),
          /** Estimate of what its instance cost; null: not known. */
          usd: or(z.nullable(z.number().check(z.nonnegative())), null),
          exitCode: or(z.nullable(z.int()), null),
          signal: or(text, null),
          resumedFrom: or(z.nullable(object({ run: z.string(), seq: count, name: z.string() })), null),
          /** The newest checkpoint that it saved. */
          saved: or(z.nullable(object({ seq: count, name: z.string() })), null),
          endedAt: time,
        }),
      ),
      [],
    ),
    /** The run's checkpoints; null: it saved none, and went on from none. */
    checkpoints: or(
      z.nullable(
        object({
          /** The first run of those that continue one another. */
          lineage: z.string(),
          latest: or(z.nullable(object({ seq: count, name: z.string(), bytes: count, committedAt: time })), null),
        }),
      ),
      null,
    ),
    states: or(z.array(object({ name: z.string(), entered: count, seconds })), []),
    polls: or(count, 0),
    pollFailures: or(count, 0),
    logBytes: or(count, 0),
    /** Latest values of the training, as of the last poll that read its log. */
    metrics: or(
      z.array(
        object({
          name: z.string(),
          step: z.number(),
          value: or(z.nullable(z.number()), null),
          /** Of a value that is not a number. */
          gap: or(z.nullable(z.enum(['nan', 'inf', '-inf'])), null),
        }),
      ),
      [],
    ),
    outputs: or(
      object({
        archive: or(z.nullable(object({ key: z.string(), bytes: count, sha256 })), null),
        count: or(count, 0),
        /** The first 5,000; `inventory.json` beside this has all. */
        files: or(z.array(object({ path: z.string(), bytes: count, sha256 })), []),
        /** Files that the archive had no room for, and the first 100 of them. */
        leftOut: or(
          object({
            count,
            bytes: count,
            files: or(z.array(object({ path: z.string(), bytes: count, why: z.string() })), []),
          }),
          { count: 0, bytes: 0, files: [] },
        ),
        /** Files that the run created or changed and no pattern matches, by folder at the top of the project; '': the project itself. */
        others: or(z.array(object({ folder: z.string(), files: count, bytes: count })), []),
      }),
      { archive: null, count: 0, files: [], leftOut: { count: 0, bytes: 0, files: [] }, others: [] },
    ),
    logs: or(
      z.array(object({ job: z.enum(JOBS), attempt: or(z.int(), 1), key: z.string(), bytes: count, sha256 })),
      [],
    ),
    cost: or(
      object({
        /** Of runctl itself, at list prices; not of the instance. */
        usd: z.number(),
        note: z.string(),
        /** Estimate of what the instance cost for this run; null: the price is not known, or the run did not use it. */
        instance: or(
          z.nullable(
            object({
              usd: z.number().check(z.nonnegative()),
              /** From Sync code to the end, without the queue. */
              seconds,
              usdPerHour: z.number().check(z.positive()),
              source: reading === STRICT ? z.enum(PRICE_SOURCES) : z.string(),
              /** When the price was read. */
              at: time,
            }),
          ),
          null,
        ),
      }),
      { usd: 0, note: 'Not known.', instance: null },
    ),
  });
};

/** What is written. */
export const manifestSchema = manifest(STRICT);
const readable = manifest(TOLERANT);

export type Manifest = z.infer<typeof manifestSchema>;

/** A manifest that this or another version of runctl wrote; null: it is not one that can be read. */
export function readManifest(json: string): Manifest | null {
  try {
    return readable.safeParse(JSON.parse(json)).data ?? null;
  } catch {
    return null;
  }
}

/** What the finisher says of the outputs and the interpreter (instance/CONTRACT.md). */
export const inventorySchema = z.object({
  outputs: z.array(z.object({ path: z.string(), bytes: count, sha256 })),
  leftOut: z._default(z.array(z.object({ path: z.string(), bytes: count, why: z.string() })), []),
  others: z._default(z.array(z.object({ folder: z.string(), files: count, bytes: count })), []),
  python: z.nullable(z.object({ path: z.string(), version: z.string() })),
  packages: z.record(z.string(), z.string()),
});

export type Inventory = z.infer<typeof inventorySchema>;
