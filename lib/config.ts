import type { Node } from 'constructs';
import * as z from 'zod';
import { type ArchiveCaps, DEFAULT_CAPS } from '../core/archive/caps.ts';
import { isTimeZone } from '../core/schedule/wall-time.ts';
import { type DurationLimits, LIMITED_DURATIONS } from '../core/spec/duration-limits.ts';
import { InvalidSpec, parseSpec, type SpecInput, specSchema } from '../core/spec/spec.ts';

/** The context of `cdk.json` or `cdk deploy -c key=value`. Only this file reads it. */
export interface Config {
  /** Folder of the bundled handlers (bundle-lambdas.ts). */
  readonly bundles: string;
  /** For the local cloud, whose CloudFormation lacks AWS::SSM::Document: the template then has the documents in its metadata. */
  readonly local: boolean;
  readonly architecture: 'arm64' | 'x86_64';
  readonly logRetentionDays: number;
  readonly archiveCaps: ArchiveCaps;
  /** The longest durations that a run spec may ask for. */
  readonly durationLimits: DurationLimits;
  readonly schedules: readonly ScheduleConfig[];
  /** Email addresses for notifications. */
  readonly notifyEmails: readonly string[];
  /** A run that waits longer for its instance sends a notification. */
  readonly waitingMinutes: number;
  /** Uploads that are processed at once; null: up to Lambda's own limit. */
  readonly uploadConcurrency: number | null;
  /** A job that does not write to its log for this time raises an alarm. */
  readonly silentMinutes: number;
}

export interface ScheduleConfig {
  readonly name: string;
  /** `cron(…)` or `rate(…)` as EventBridge Scheduler reads it. */
  readonly expression: string;
  /** IANA name. */
  readonly timezone: string;
  readonly spec: SpecInput;
}

const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')]);
/** The numbers of days that CloudWatch Logs accepts. */
const RETENTION = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

/** Limits of the reader on the instance, which the context cannot raise (instance/runner/common/tar.py). */
const MOST: Partial<ArchiveCaps> = { depth: 200, nameBytes: 3_000 };
const cap = (key: string) =>
  z
    .number()
    .positive()
    .max(MOST[key as keyof ArchiveCaps] ?? Number.MAX_SAFE_INTEGER);
const capsSchema = z
  .strictObject(Object.fromEntries(Object.keys(DEFAULT_CAPS).map((key) => [key, cap(key)])))
  .partial();

/** A limit is a duration that the run spec itself would take. */
const limitsSchema = z
  .custom<DurationLimits>((value) => typeof value === 'object' && value !== null)
  .check((context) => {
    for (const [key, limit] of Object.entries(context.value)) {
      const known = (LIMITED_DURATIONS as readonly string[]).includes(key);
      const result = known ? specSchema.shape[key as (typeof LIMITED_DURATIONS)[number]].safeParse(limit) : null;
      const message = result ? result.error?.issues[0]?.message : `is not one of ${LIMITED_DURATIONS.join(', ')}`;
      if (message) context.issues.push({ code: 'custom', message: `${key} ${message}`, input: limit });
    }
  });

const scheduleSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9._-]{1,48}$/),
  expression: z.string().regex(/^(rate|cron|at)\(.+\)$/),
  timezone: z.string().refine(isTimeZone, 'is not an IANA time zone, such as Europe/Berlin').default('UTC'),
  spec: z.record(z.string(), z.unknown()),
});

/** A mistake in the context; the message names the key. */
export class InvalidContext extends Error {
  override readonly name = 'InvalidContext';
}

/** @throws InvalidContext */
export function readConfig(node: Node, bundles: string): Config {
  const known = new Set<string>();
  const read = <T>(key: string, schema: z.ZodType<T>, fallback: T): T => {
    known.add(`runctl:${key}`);
    const value: unknown = node.tryGetContext(`runctl:${key}`);
    if (value === undefined) return fallback;
    const result = schema.safeParse(fromCommandLine(value, key));
    if (result.success) return result.data;
    throw new InvalidContext(`context runctl:${key}: ${z.prettifyError(result.error)}`);
  };
  const caps = read('archiveCaps', capsSchema, {}) as Partial<ArchiveCaps>;
  const schedules = read('schedules', z.array(scheduleSchema), []);
  const config: Config = {
    bundles,
    local: read('local', flag, false),
    architecture: read('architecture', z.enum(['arm64', 'x86_64']), 'arm64'),
    logRetentionDays: read(
      'logRetentionDays',
      z.coerce.number().refine((days) => RETENTION.includes(days), `is one of ${RETENTION.join(', ')}`),
      90,
    ),
    archiveCaps: { ...DEFAULT_CAPS, ...caps },
    durationLimits: read<DurationLimits>('durationLimits', limitsSchema, {}),
    schedules: schedules.map((schedule) => ({ ...schedule, spec: scheduledSpec(schedule) })),
    notifyEmails: read('notifyEmails', z.array(z.email()), []),
    uploadConcurrency: read<number | null>('uploadConcurrency', z.coerce.number().int().positive(), null),
    silentMinutes: read('silentMinutes', z.coerce.number().min(5), 60),
    waitingMinutes: read('waitingMinutes', z.coerce.number().positive(), 30),
  };
  const keys = Object.keys((node.getAllContext() ?? {}) as Record<string, unknown>);
  const unknown = keys.find((key) => key.startsWith('runctl:') && !known.has(key));
  if (unknown === undefined) return config;
  throw new InvalidContext(`context ${unknown}: there is no such key. Known are ${[...known].join(', ')}.`);
}

function scheduledSpec({ name, spec }: z.infer<typeof scheduleSchema>): SpecInput {
  const source = `context runctl:schedules, ${name}`;
  const parsed = readSpec(spec, source);
  if (parsed.archive === undefined) throw new InvalidContext(`${source}: the spec needs an archive, s3://bucket/key`);
  return parsed;
}

function readSpec(spec: Record<string, unknown>, source: string): SpecInput {
  try {
    return parseSpec(spec, source);
  } catch (error) {
    throw error instanceof InvalidSpec ? new InvalidContext(error.message) : error;
  }
}

/** `cdk -c key=value` gives strings; lists and maps are JSON. */
function fromCommandLine(value: unknown, key: string): unknown {
  if (typeof value !== 'string' || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch (error) {
    throw new InvalidContext(
      `context runctl:${key} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
