import { createHash } from 'node:crypto';
import { addAbortSignal, type Readable } from 'node:stream';
import type { MetricsParser } from '../../core/metrics/parser.ts';
import type { SeriesSet } from '../../core/metrics/series.ts';
import { runFileKey } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { LOG_FILE, type OpenFile, REPORT_FILE, SUMMARY_FILE } from '../../core/results/files.ts';
import { DigestMismatch } from '../../core/results/gunzip.ts';
import { readMetricSources } from '../../core/results/read-sources.ts';
import { readStoredPoints } from '../../core/results/stored-points.ts';
import { isSummaryOf, type RunSummary, readSummary } from '../../core/results/summary-schema.ts';
import { otherLog } from '../logs/whole-log.ts';
import type { LineStore } from './run-lines.ts';

/** The metrics of a run that has ended. */
export interface EndedMetrics {
  readonly series: SeriesSet;
  /** false: the bucket has no log of the training. */
  readonly hasLog: boolean;
  readonly hasMoreSeries: boolean;
  readonly skippedLines: number;
}

/** Opens the files of a run in the bucket. */
export function openerOf(store: LineStore, runId: string, signal: AbortSignal): OpenFile {
  return async (name) => {
    const object = await store.open(runFileKey(runId, name), 0, signal);
    return object?.Body ? addAbortSignal(signal, object.Body as Readable) : null;
  };
}

/**
 * What summarize-run stored of a run. null: nothing yet, or of another run, or not of the whole log: whoever reads it wants what the log
 * says.
 */
export async function readRunSummary(open: OpenFile, manifest: Pick<Manifest, 'run'>): Promise<RunSummary | null> {
  const stored = await readWhole(open, SUMMARY_FILE);
  const summary = stored === null ? null : readSummary(stored.toString('utf8'));
  return summary !== null && isSummaryOf(summary, manifest) && summary.log?.isWhole !== false ? summary : null;
}

/** Reads the metrics that summarize-run stored; null: there are none that could be used. */
export async function readStoredMetrics(open: OpenFile, manifest: Manifest): Promise<EndedMetrics | null> {
  const summary = await readRunSummary(open, manifest);
  if (summary === null) return null;
  try {
    const series = await readStoredPoints(open, summary.metrics.sha256);
    const { log, hasMoreSeries } = summary;
    return { series, hasLog: log !== null, hasMoreSeries, skippedLines: log?.skippedLines ?? 0 };
  } catch (error) {
    if (error instanceof DigestMismatch) return null;
    throw error;
  }
}

/** Reads the metrics in what the run left. @throws CliError when the log is not the one that the manifest names */
export async function parseMetrics(
  open: OpenFile,
  run: { readonly id: string; readonly manifest: Manifest | null },
  newParser: (attempt: number) => MetricsParser,
): Promise<EndedMetrics> {
  try {
    const { series, log, hasMoreSeries } = await readMetricSources(open, run.manifest, newParser);
    return { series, hasLog: log !== null, hasMoreSeries, skippedLines: log?.skippedLines ?? 0 };
  } catch (error) {
    throw error instanceof DigestMismatch ? otherLog(runFileKey(run.id, LOG_FILE)) : error;
  }
}

/** The report that summarize-run stored; null: there is none that could be used. */
export async function readStoredReport(open: OpenFile, manifest: Manifest): Promise<Buffer | null> {
  const summary = await readRunSummary(open, manifest);
  const report = summary === null ? null : await readWhole(open, REPORT_FILE);
  const isWhole = report !== null && createHash('sha256').update(report).digest('hex') === summary?.report.sha256;
  return isWhole ? report : null;
}

async function readWhole(open: OpenFile, name: string): Promise<Buffer | null> {
  const body = await open(name);
  if (body === null) return null;
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}
