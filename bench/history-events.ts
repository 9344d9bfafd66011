import { LONGEST_WAIT, nextWait, POLLS_PER_WATCH } from '../core/workflow/poll-timing.ts';

/** Events that a state writes into an execution's history on AWS (AWS's documentation of GetExecutionHistory). */
export const EVENTS_PER_STATE = {
  /** Entered, Scheduled, Started, Succeeded, Exited. */
  Task: 5,
  /** Entered, Scheduled, Started, Submitted, Succeeded, Exited, and for a nested execution two more at most. */
  Nested: 8,
  Choice: 2,
  Wait: 2,
  Pass: 2,
  Succeed: 2,
} as const;
/** ExecutionStarted, and ExecutionSucceeded or its like. */
export const EVENTS_PER_EXECUTION = 2;
/** Above it an execution fails. */
export const MOST_EVENTS = 25_000;

/** A turn of runctl-watch: Poll logs, Job ended?, Wait. */
const EVENTS_PER_TURN = EVENTS_PER_STATE.Task + EVENTS_PER_STATE.Choice + EVENTS_PER_STATE.Wait;
/** A turn of the parent: Watch training, Training ended?. */
const EVENTS_PER_WATCH = EVENTS_PER_STATE.Nested + EVENTS_PER_STATE.Choice;
/** From Begin run to Confirm PID and from Finish run to the end, with a watched sync and install. */
const EVENTS_OF_PARENT = 90;

export interface WatchForecast {
  readonly polls: number;
  /** Nested executions. */
  readonly watches: number;
  /** Of the nested execution that has most. */
  readonly eventsPerWatch: number;
  readonly eventsOfParent: number;
}

/** What watching a training of so many seconds takes, when each poll lasts `pollSeconds`. */
export function forecastWatch(seconds: number, pollSeconds: number): WatchForecast {
  let polls = 0;
  let elapsed = 0;
  for (; elapsed < seconds && nextWait(elapsed, false) < LONGEST_WAIT; polls += 1) {
    elapsed += nextWait(elapsed, false) + pollSeconds;
  }
  polls += Math.max(0, Math.ceil((seconds - elapsed) / (LONGEST_WAIT + pollSeconds)));
  const watches = Math.max(1, Math.ceil(polls / POLLS_PER_WATCH));
  return {
    polls,
    watches,
    eventsPerWatch:
      EVENTS_PER_EXECUTION + 2 * EVENTS_PER_STATE.Pass + Math.min(polls, POLLS_PER_WATCH) * EVENTS_PER_TURN,
    eventsOfParent: EVENTS_OF_PARENT + watches * EVENTS_PER_WATCH,
  };
}
