/** List prices of us-east-1, in US dollars, on 2026-11-24; AWS's pricing pages of Step Functions and Lambda (arm64). */
const TRANSITION = 0.025 / 1_000;
export const GB_SECOND = 0.0000133334;
export const INVOCATION = 0.2 / 1_000_000;

/** A poll: Poll logs, Job ended? and Wait are a transition each, the function 512 MiB for about 2.5 s (1 to 3 s of SSM). */
const POLL_TRANSITIONS = 3;
const POLL_GB_SECONDS = 2.5 * 0.5;
/** Any other state's function: 256 MiB for about 5 s. */
const STATE_GB_SECONDS = 5 * 0.25;

/** What runctl itself costs: without the instance, S3 and CloudWatch. */
export function estimateCost(run: { states: number; polls: number }): number {
  const transitions = run.states + run.polls * POLL_TRANSITIONS;
  const lambda =
    run.polls * (POLL_GB_SECONDS * GB_SECOND + INVOCATION) + run.states * (STATE_GB_SECONDS * GB_SECOND + INVOCATION);
  return transitions * TRANSITION + lambda;
}
