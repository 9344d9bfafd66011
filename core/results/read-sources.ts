import * as z from 'zod/mini';
import type { MetricsParser } from '../metrics/parser.ts';
import { MAX_SERIES } from '../metrics/point.ts';
import { SeriesSet } from '../metrics/series.ts';
import { logFileName } from '../names.ts';
import type { Manifest } from '../outcome/manifest-schema.ts';
import { type UsageSample, usageSample } from '../protocol/answers.ts';
import { FILE_POINTS, type OpenFile, USAGE_FILE } from './files.ts';
import { gunzipped } from './gunzip.ts';
import { readObjects } from './lines.ts';
import { pointLine, toPoint } from './point-line.ts';

/** As the finisher keeps them (docs/reference/usage.md). */
const MAX_FILE_POINTS = 4_000_000;
/** The supervisor keeps 8,192 at most. */
const MAX_SAMPLES = 100_000;

/** The metrics of a run, from all that it left. */
export interface RunMetrics {
  readonly series: SeriesSet;
  /** null: the run has no log of a training. */
  readonly log: { readonly bytes: number; readonly isWhole: boolean; readonly skippedLines: number } | null;
  /** Points of files that the training wrote. */
  readonly filePoints: number;
  /** The run has more than 64 metrics, and the others are left out. */
  readonly hasMoreSeries: boolean;
}

/** Asked after each chunk of the log; the rest is left out then. @param points that are held */
export type IsEnough = (points: number) => boolean;

/**
 * Reads the metrics in a run's log, and then those of files, which replace what the log has of the same step.
 * @throws DigestMismatch when the log is not the one that the manifest names
 */
export async function readMetricSources(
  open: OpenFile,
  manifest: Pick<Manifest, 'logs'> | null,
  createParser: (attempt: number) => MetricsParser,
  isEnough: IsEnough = () => false,
): Promise<RunMetrics> {
  const series = new SeriesSet();
  let [log, hasMoreSeries] = [null as RunMetrics['log'], false];
  for (const attempt of attemptsWithLogs(manifest)) {
    const parser = createParser(attempt);
    const one = await readLog(open, manifest, attempt, { parser, series, isEnough });
    log = one === null ? log : together(log, one);
    hasMoreSeries ||= parser.hasMoreSeries;
    if (log?.isWhole === false) break;
  }
  const files = await addFilePoints(open, series);
  return { series, log, ...files, hasMoreSeries: hasMoreSeries || files.hasMoreSeries };
}

/** In their order; a run without a manifest has its first log, if any. */
function attemptsWithLogs(manifest: Pick<Manifest, 'logs'> | null): number[] {
  const attempts = manifest?.logs.filter(({ job }) => job === 'train').map(({ attempt }) => attempt) ?? [];
  return attempts.length === 0 ? [1] : attempts.sort((a, b) => a - b);
}

function together(log: RunMetrics['log'], next: NonNullable<RunMetrics['log']>): NonNullable<RunMetrics['log']> {
  if (log === null) return next;
  const { bytes, isWhole, skippedLines } = next;
  return { bytes: log.bytes + bytes, isWhole, skippedLines: log.skippedLines + skippedLines };
}

/** Adds the metrics that the training wrote to files. */
export async function addFilePoints(
  open: OpenFile,
  series: SeriesSet,
): Promise<Pick<RunMetrics, 'filePoints' | 'hasMoreSeries'>> {
  let [filePoints, hasMoreSeries] = [0, false];
  for await (const objects of readObjects(open, FILE_POINTS)) {
    for (const object of objects) {
      const point = z.safeParse(pointLine, object).data;
      if (point === undefined) continue;
      if (!series.has(point.name) && series.size >= MAX_SERIES) hasMoreSeries = true;
      else {
        series.add([toPoint({ ...point, attempt: 1 })]);
        filePoints += 1;
      }
    }
    if (filePoints >= MAX_FILE_POINTS) break;
  }
  return { filePoints, hasMoreSeries };
}

async function readLog(
  open: OpenFile,
  manifest: Pick<Manifest, 'logs'> | null,
  attempt: number,
  reading: { readonly parser: MetricsParser; readonly series: SeriesSet; readonly isEnough: IsEnough },
): Promise<RunMetrics['log']> {
  const { parser, series, isEnough } = reading;
  const gzip = await open(logFileName('train', attempt));
  if (gzip === null) return null;
  let bytes = 0;
  let isWhole = true;
  const sha256 = manifest?.logs.find((one) => one.job === 'train' && one.attempt === attempt)?.sha256 ?? null;
  for await (const chunk of gunzipped(gzip, { sha256 })) {
    if (isEnough(series.count)) {
      isWhole = false;
      break;
    }
    series.add(parser.push(chunk));
    bytes += chunk.length;
  }
  // Where the log is cut, the last line may be half a line, and so half a number.
  if (isWhole) series.add(parser.end());
  return { bytes, isWhole, skippedLines: parser.skippedLines };
}

/** The usage of a run that has ended; empty when it was not measured. */
export async function readUsage(open: OpenFile): Promise<UsageSample[]> {
  const samples: UsageSample[] = [];
  for await (const objects of readObjects(open, USAGE_FILE)) {
    for (const object of objects) {
      const sample = z.safeParse(usageSample, { warning: null, ...object }).data;
      if (sample !== undefined) samples.push(sample);
    }
    if (samples.length >= MAX_SAMPLES) break;
  }
  return samples;
}
