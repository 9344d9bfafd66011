import { metricsOfSpec } from '../../core/metrics/custom.ts';
import { MetricsParser } from '../../core/metrics/parser.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import type { RunResults } from '../../core/report/report.ts';
import { usageCharts } from '../../core/report/usage.ts';
import { readUsage } from '../../core/results/read-sources.ts';
import type { LineStore } from '../runs/run-lines.ts';
import { openerOf, parseMetrics, readStoredMetrics } from '../runs/run-metrics.ts';

/** Reads what a run left in the bucket: its metrics, and the usage of its instance. */
export async function readResults(store: LineStore, manifest: Manifest, signal: AbortSignal): Promise<RunResults> {
  const { id } = manifest.run;
  const open = openerOf(store, id, signal);
  const { series } =
    (await readStoredMetrics(open, manifest)) ??
    (await parseMetrics(
      open,
      { id, manifest },
      (attempt) => new MetricsParser({ custom: metricsOfSpec(manifest.spec), attempt }),
    ));
  return { manifest, series: series.all(), usage: usageCharts(await readUsage(open)) };
}
