import type { LatestValue } from '../../core/metrics/latest.ts';
import type { SeriesSummary } from '../../core/metrics/series.ts';
import type { JobName } from '../../core/names.ts';
import type { PullOutput, RunOutput, StatusOutput, StopOutput } from '../output/schemas.ts';
import type { TailLine } from './log-tail.ts';
import type { Trouble } from './refresher.ts';
import type { WordKind } from './words.ts';

/** What the server sends to the page, as JSON. Times without a type are epoch milliseconds. */

/** Of everything that was read from AWS. */
export interface Read {
  /** When AWS answered last; null: it has not. */
  readonly readAt: number | null;
  /** null: AWS answers. */
  readonly trouble: Trouble | null;
}

export interface AboutView {
  readonly version: string;
  readonly region: string;
  /** Of the folder that the command was started in; null: the page lists the runs of all projects. */
  readonly project: { readonly value: string; readonly from: string } | null;
  readonly folder: string;
}

/** Of the word for a run. */
export interface Word {
  readonly kind: WordKind;
  /** Predicate of "the run". */
  readonly meaning: string;
}

export interface ListedRun extends RunOutput, Word {
  /** Of a run that is active: what runctl itself has cost so far. */
  readonly costSoFarUsd: number | null;
  readonly headline: LatestValue | null;
}

export interface ListView extends Read {
  readonly project: string | null;
  readonly runs: readonly ListedRun[];
  /** Older runs are still being read. */
  readonly isPartial: boolean;
}

export interface MetricView extends SeriesSummary {
  /** The curve, as an SVG element. */
  readonly svg: string;
}

export interface MetricsView {
  /** Changes with the series. */
  readonly version: string;
  /** The headline first. null: as in the version that the page has. */
  readonly series: readonly MetricView[] | null;
}

export interface CurveView {
  readonly name: string;
  /** An SVG element. */
  readonly svg: string;
}

export interface UsageView {
  /** Changes with each sample. */
  readonly version: string;
  /** Of the latest sample. */
  readonly at: number;
  /** How busy each GPU is, percent; null: not known. */
  readonly gpus: readonly (number | null)[];
  readonly cpuPercent: number;
  readonly memoryPercent: number | null;
  /** null: as in the version that the page has. */
  readonly curves: readonly CurveView[] | null;
}

/** The download of a run, as it goes on. */
export interface PullView {
  readonly state: 'running' | 'done' | 'failed';
  /** What it does, or why it failed. */
  readonly text: string;
  readonly next: string | null;
  readonly warnings: readonly string[];
  readonly result: PullOutput | null;
}

export interface RunView extends Read, Word {
  /** As `runctl status --json` prints it, without the manifest. null: not read yet. */
  readonly status: Omit<StatusOutput, 'manifest'> | null;
  readonly costSoFarUsd: number | null;
  readonly log: {
    readonly job: JobName;
    /** After the line that the page has. */
    readonly lines: readonly TailLine[];
    /** Lines of the log so far. */
    readonly total: number;
  };
  readonly metrics: MetricsView;
  /** null: nothing was measured yet. */
  readonly usage: UsageView | null;
  readonly pull: PullView | null;
}

export type StopView = StopOutput;

export interface ErrorView {
  readonly error: { readonly message: string; readonly next: string };
}
