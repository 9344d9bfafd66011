import { nextWait } from '../workflow/poll-timing.ts';

/** List prices of us-east-1, in US dollars, on 2026-11-24; AWS's pricing pages of Step Functions and Lambda (arm64). */
const TRANSITION = 0.025 / 1_000;
export const GB_SECOND = 0.0000133334;
export const INVOCATION = 0.2 / 1_000_000;

/** A poll: Poll logs, Job ended? and Wait are a transition each, the function 512 MiB for about 2.5 s (1 to 3 s of SSM). */
const POLL_TRANSITIONS = 3;
const POLL_S = 2.5;
const POLL_GB_SECONDS = POLL_S * 0.5;
/** Any other state's function: 256 MiB for about 5 s. */
const STATE_GB_SECONDS = 5 * 0.25;

/** What runctl itself costs: without the instance, S3 and CloudWatch. */
export function estimateCost(run: { states: number; polls: number }): number {
  const transitions = run.states + run.polls * POLL_TRANSITIONS;
  const lambda =
    run.polls * (POLL_GB_SECONDS * GB_SECOND + INVOCATION) + run.states * (STATE_GB_SECONDS * GB_SECOND + INVOCATION);
  return transitions * TRANSITION + lambda;
}

/** How often a job that lasts so long is polled. */
export function pollsIn(seconds: number): number {
  let polls = 0;
  for (let at = 0; at < seconds; at += nextWait(at, false) + POLL_S) polls += 1;
  return polls;
}

/** Before summarize-run reads, and for its requests to S3: not measured on AWS. */
const AROUND_SUMMARY_S = 1.5;
/** Six objects are read, three are written; events of S3 are free. */
const SUMMARY_REQUESTS = 6 * 0.0000004 + 3 * 0.000005;

/** The metrics and the report of an ended run. @param seconds for which the function reads */
export function summaryCost(seconds: number, memoryMib: number): number {
  return (seconds + AROUND_SUMMARY_S) * (memoryMib / 1_024) * GB_SECOND + INVOCATION + SUMMARY_REQUESTS;
}

/** Names of metrics that are written in an hour in which runs begin and end, and what one of them costs a month. */
const METRIC_NAMES = 10;
const METRIC_MONTH = 0.3;
const HOURS_A_MONTH = 720;

/** CloudWatch metrics, for an hour in which they are written. */
export function metricsCost(names = METRIC_NAMES): number {
  return (names * METRIC_MONTH) / HOURS_A_MONTH;
}
