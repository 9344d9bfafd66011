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
} as const;

export interface Metric {
  readonly name: (typeof METRICS)[keyof typeof METRICS];
  readonly value: number;
  readonly unit: 'Count' | 'Seconds';
  readonly outcome?: Outcome;
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
  return [
    ...(failures > 0 ? [{ name: METRICS.pollFailures, value: failures, unit: 'Count' } as const] : []),
    ...(silence >= SILENCE ? [{ name: METRICS.silence, value: silence, unit: 'Seconds' } as const] : []),
  ];
}

/** A job whose log CloudWatch takes no more of may well be writing. */
function silentSeconds({ ended, logFull, cursor, elapsed }: JobSnapshot, now: number): number {
  if (ended || logFull) return 0;
  return cursor.offset > 0 ? (now - cursor.eventTime) / 1_000 : (elapsed ?? 0);
}
