import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createGzip } from 'node:zlib';
import { metricsOfSpec } from '../metrics/custom.ts';
import { MetricsParser } from '../metrics/parser.ts';
import { summarize } from '../metrics/series.ts';
import { MANIFEST, runFileKey } from '../names.ts';
import { type Manifest, readManifest } from '../outcome/manifest-schema.ts';
import { runReport } from '../report/report.ts';
import { usageCharts } from '../report/usage.ts';
import { MAX_POINTS, READ_LOG_S } from './caps.ts';
import { METRICS_FILE, type OpenFile, REPORT_FILE, SUMMARY_FILE } from './files.ts';
import { readMetricSources, readUsage } from './read-sources.ts';
import { storedLines } from './stored-points.ts';
import { isSummaryOf, type RunSummary, readSummary } from './summary-schema.ts';

/** Half of the time of level 6, and a fifth more bytes. */
const GZIP_LEVEL = 3;

/** The files of one run. */
export interface ResultFiles {
  readonly open: OpenFile;
  write(name: string, body: AsyncIterable<Uint8Array>, contentType: string): Promise<void>;
}

export interface SummarizePorts {
  readonly filesOf: (runId: string) => ResultFiles;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/**
 * Writes the metrics, the report and the summary of a run that has ended. Idempotent: a run that has its summary is left as it is.
 * @returns null: the run has no manifest any more
 * @throws Error when a file of the run cannot be read or written
 */
export async function summarizeRun({ filesOf, now }: SummarizePorts, runId: string): Promise<RunSummary | null> {
  const until = now() + READ_LOG_S * 1_000;
  const files = filesOf(runId);
  const manifestText = await readText(files.open, MANIFEST);
  if (manifestText === null) return null;
  const manifest = readManifest(manifestText);
  if (manifest === null) throw new Error(`This version of runctl cannot read the manifest of run ${runId}.`);
  const existing = readSummary((await readText(files.open, SUMMARY_FILE)) ?? '');
  if (existing !== null && isSummaryOf(existing, manifest)) return existing;
  return await write(files, manifest, (points) => points >= MAX_POINTS || now() >= until);
}

async function write(
  files: ResultFiles,
  manifest: Manifest,
  isEnough: (points: number) => boolean,
): Promise<RunSummary> {
  const { id, startedAt } = manifest.run;
  const { series, log, filePoints, hasMoreSeries } = await readMetricSources(
    files.open,
    manifest,
    (attempt) => new MetricsParser({ custom: metricsOfSpec(manifest.spec), attempt }),
    isEnough,
  );
  const all = series.all();
  const points = all.reduce((sum, one) => sum + one.points.length, 0);
  const gzip = Readable.from(storedLines(all), { objectMode: false }).pipe(createGzip({ level: GZIP_LEVEL }));
  const metrics = await writeMeasured(files, METRICS_FILE, gzip, 'application/gzip');
  const html = runReport({ manifest, series: all, usage: usageCharts(await readUsage(files.open)) });
  const report = await writeMeasured(files, REPORT_FILE, once(html), 'text/html; charset=utf-8');
  const summary: RunSummary = {
    version: 1,
    run: { id, startedAt },
    log,
    filePoints,
    hasMoreSeries,
    metrics: { key: runFileKey(id, METRICS_FILE), ...metrics, points },
    report: { key: runFileKey(id, REPORT_FILE), ...report },
    series: all.map(summarize),
  };
  await files.write(SUMMARY_FILE, once(`${JSON.stringify(summary, null, 2)}\n`), 'application/json');
  return summary;
}

async function writeMeasured(files: ResultFiles, name: string, body: AsyncIterable<Uint8Array>, contentType: string) {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* measured(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  await files.write(name, measured(), contentType);
  return { bytes, sha256: hash.digest('hex') };
}

async function readText(open: OpenFile, name: string): Promise<string | null> {
  const body = await open(name);
  return body === null ? null : await text(body as AsyncIterable<Uint8Array> & Readable);
}

async function* once(content: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(content);
}
