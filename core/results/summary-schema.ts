import * as z from 'zod/mini';
import type { Manifest } from '../outcome/manifest-schema.ts';

const count = z.int().check(z.nonnegative());
const number = z.nullable(z.number());
const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));

const series = z.object({
  name: z.string(),
  points: count,
  firstStep: z.number(),
  lastStep: z.number(),
  /** null: the last value is not a number, and `gap` says of what kind. */
  last: number,
  gap: z.nullable(z.enum(['nan', 'inf', '-inf'])),
  /** null: no value is a number. */
  min: number,
  max: number,
  /** The step since which no value is a number; null: the last is one. */
  gapSince: number,
});

/** `runs/<run id>/summary.json`: what a run's metrics came to. Keys are only ever added within a version. */
export const summarySchema = z.object({
  version: z.literal(1),
  /** An id comes back after 90 days: together they name one run. */
  run: z.object({ id: z.string(), startedAt: z.string() }),
  /** null: the run has no log of a training. */
  log: z.nullable(
    z.object({
      /** Unpacked, that were read. */
      bytes: count,
      /** false: the rest of the log was left out, of which `series` and the other files do not know. */
      isWhole: z.boolean(),
      /** Lines of more than 4 KB. */
      skippedLines: count,
    }),
  ),
  /** Points of files that the training wrote. */
  filePoints: count,
  /** The run has more than 64 metrics, and the others are left out. */
  hasMoreSeries: z.boolean(),
  /** `metrics.jsonl.gz`. */
  metrics: z.object({ key: z.string(), bytes: count, sha256, points: count }),
  /** `report.html`. */
  report: z.object({ key: z.string(), bytes: count, sha256 }),
  series: z.array(series),
});

export type RunSummary = z.infer<typeof summarySchema>;

/** null: it is not a summary that this version of runctl can read. */
export function readSummary(json: string): RunSummary | null {
  try {
    return z.safeParse(summarySchema, JSON.parse(json)).data ?? null;
  } catch {
    return null;
  }
}

/** Whether a summary is of the run that a manifest is of. */
export function isSummaryOf(summary: RunSummary, { run }: Pick<Manifest, 'run'>): boolean {
  return summary.run.id === run.id && Date.parse(summary.run.startedAt) === Date.parse(run.startedAt);
}

/** `runctl.summary.schema.json`; open for further keys. */
export function summaryJsonSchema(): object {
  return { ...z.toJSONSchema(summarySchema, { io: 'input' }), title: 'runctl summary of the metrics of a run' };
}
