import { uploadLag } from '../checkpoints/progress.ts';
import type { Outcome } from '../errors.ts';
import type { Manifest } from '../outcome/manifest-schema.ts';
import type { JobSnapshot } from '../workflow/data.ts';
import { RUN_STATES } from '../workflow/states.ts';
import { isFailure } from '../workflow/vocabulary.ts';

/** CloudWatch metrics of runs. Each name, and each value of a dimension, costs $0.30 for a month in which it is written all the time: few, and none by run. */
export const METRIC_NAMESPACE = 'runctl';
export const METRICS = {
  /** Executions that run, written whenever one starts or ends. */
  running: 'RunningRuns',
  /** Dimension Outcome. */
  ended: 'EndedRuns',
  /** Those of which somebody should know: neither succeeded, nor stopped or skipped as people wanted. */
  failed: 'FailedRuns',
  duration: 'RunSeconds',
  install: 'InstallSeconds',
  queue: 'QueueSeconds',
  /** Looks at a job that got no answer. */
  pollFailures: 'PollFailures',
  /** Since the last line of log, of jobs that are being watched. */
  silence: 'SilentSeconds',
  /** Of an upload of a checkpoint that falls behind: how long it has taken so far. */
  checkpointLag: 'CheckpointLagSeconds',
} as const;

export interface Metric {
  /** One of METRICS; of a metric with a project the name that its log has. */
  readonly name: string;
  readonly value: number;
  readonly unit: 'Count' | 'Seconds' | 'None';
  /** The dimension, if it has one. */
  readonly outcome?: Outcome;
  readonly project?: string;
}

/** A silence that is worth a number: steps of an epoch are quiet for minutes. Seconds. */
const SILENCE = 300;

/** Of a run that has ended. */
export function runMetrics({ outcome, run, states }: Pick<Manifest, 'outcome' | 'run' | 'states'>): Metric[] {
  const secondsIn = (...names: string[]) =>
    states.filter(({ name }) => names.includes(name)).reduce((total, { seconds }) => total + seconds, 0);
  const install = secondsIn(RUN_STATES.install, RUN_STATES.watchInstall);
  const queue = secondsIn(RUN_STATES.queue);
  return [
    { name: METRICS.ended, value: 1, unit: 'Count', outcome },
    ...(isFailure(outcome) ? [{ name: METRICS.failed, value: 1, unit: 'Count' } as const] : []),
    { name: METRICS.duration, value: run.seconds, unit: 'Seconds' },
    ...(install > 0 ? [{ name: METRICS.install, value: install, unit: 'Seconds' } as const] : []),
    ...(queue > 0 ? [{ name: METRICS.queue, value: queue, unit: 'Seconds' } as const] : []),
  ];
}

/**
 * Of one poll of a job: none while nothing is wrong.
 * @param now epoch ms
 */
export function pollMetrics(before: JobSnapshot, after: JobSnapshot, now: number): Metric[] {
  const failures = after.pollFailures - before.pollFailures;
  const silence = silentSeconds(after, now);
  const lag = after.checkpoints ? uploadLag(after.checkpoints, now / 1_000) : null;
  return [
    ...(failures > 0 ? [{ name: METRICS.pollFailures, value: failures, unit: 'Count' } as const] : []),
    ...(silence >= SILENCE ? [{ name: METRICS.silence, value: silence, unit: 'Seconds' } as const] : []),
    ...(lag === null ? [] : [{ name: METRICS.checkpointLag, value: lag, unit: 'Seconds' } as const]),
  ];
}

/** CloudWatch refuses a call with a number beyond 2^360, and takes one nearer to 0 than 8.5e-109 for nothing. */
const LARGEST = 2 ** 359;
const SMALLEST = 1e-108;

/**
 * The latest values of the headline metrics, of a poll that read new ones, and of the last poll of a training. One call of $0.00001 for a
 * poll, and $0.30 a month for each name of a project while it is written: which names is the spec's choice, and not the log's.
 */
export function headlineMetrics(
  { project, headline }: { readonly project: string; readonly headline?: readonly string[] },
  before: JobSnapshot,
  after: JobSnapshot,
): Metric[] {
  const latest = ({ metrics }: JobSnapshot, name: string) => metrics?.values.find((metric) => metric.name === name);
  return (headline ?? []).flatMap((name) => {
    const [old, now] = [latest(before, name), latest(after, name)];
    const isNew = now?.step !== old?.step || now?.value !== old?.value || after.ended;
    const value = Math.abs(now?.value ?? Number.NaN) < SMALLEST ? 0 : now?.value;
    // NaN and infinite values, which are gaps, are refused too.
    const isSent = isNew && typeof value === 'number' && Math.abs(value) <= LARGEST;
    return isSent ? [{ name, value, unit: 'None', project } as const] : [];
  });
}

/** A job whose log CloudWatch takes no more of may well be writing. */
function silentSeconds({ ended, logFull, cursor, elapsed }: JobSnapshot, now: number): number {
  if (ended || logFull) return 0;
  return cursor.offset > 0 ? (now - cursor.eventTime) / 1_000 : (elapsed ?? 0);
}
