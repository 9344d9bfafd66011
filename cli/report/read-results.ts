import * as z from 'zod/mini';
import { metricsOfSpec } from '../../core/metrics/custom.ts';
import { MetricsParser } from '../../core/metrics/parser.ts';
import { isMetricName } from '../../core/metrics/point.ts';
import { SeriesSet } from '../../core/metrics/series.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { type UsageSample, usageSample } from '../../core/protocol/answers.ts';
import type { RunResults } from '../../core/report/report.ts';
import { usageCharts } from '../../core/report/usage.ts';
import { openWholeLog } from '../logs/whole-log.ts';
import { readMetrics } from '../metrics/read-metrics.ts';
import { type LineStore, readRunLines } from '../runs/run-lines.ts';

/** What the instance measured, and the metrics that the training wrote to files. */
const USAGE = 'usage.jsonl.gz';
const POINTS = 'metric-points.jsonl.gz';

const filePoint = z.object({
  name: z.string().check(z.refine(isMetricName)),
  step: z.number(),
  value: z.nullable(z.number()),
  gap: z.optional(z.enum(['nan', 'inf', '-inf'])),
});

/** Reads what a run left in the bucket: its log, the metrics that it wrote to files, and the usage of its instance. */
export async function readResults(store: LineStore, manifest: Manifest, signal: AbortSignal): Promise<RunResults> {
  const { id } = manifest.run;
  const series = new SeriesSet();
  const log = await openWholeLog(store, { id, manifest }, 'train', signal);
  if (log !== null)
    await readMetrics(log, new MetricsParser({ custom: metricsOfSpec(manifest.spec) }), (points) => series.add(points));
  for (const line of await readRecords(store, id, POINTS, signal)) {
    const point = z.safeParse(filePoint, line).data;
    if (point === undefined) continue;
    const { gap, ...rest } = point;
    series.add([{ ...rest, ...(gap === undefined ? {} : { gap }), offset: 0, attempt: 1 }]);
  }
  return { manifest, series: series.all(), usage: usageCharts(await readSamples(store, id, signal)) };
}

/** The usage of a run that has ended; empty when it was not measured. */
export async function readSamples(store: LineStore, runId: string, signal: AbortSignal): Promise<UsageSample[]> {
  return (await readRecords(store, runId, USAGE, signal)).flatMap((line) => {
    const sample = z.safeParse(usageSample, { warning: null, ...(line as object) }).data;
    return sample === undefined ? [] : [sample];
  });
}

/** The JSON values of a file's lines; none when the run has no such file, or where a line is none. */
async function readRecords(store: LineStore, runId: string, name: string, signal: AbortSignal): Promise<unknown[]> {
  const lines = await readRunLines(store, runId, name, signal);
  return (lines ?? []).flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      return typeof value === 'object' && value !== null ? [value] : [];
    } catch {
      return []; // The last line, or one of a process that was killed.
    }
  });
}
