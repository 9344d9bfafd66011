import { LONGEST_WAIT, nextWait, POLLS_PER_WATCH } from '../core/workflow/poll-timing.ts';

/** The events of a state in an execution's history on AWS (documentation of GetExecutionHistory). */
export const EVENTS_PER_STATE = {
  /** Entered, Scheduled, Started, Succeeded, Exited. */
  Task: 5,
  /** Entered, Scheduled, Started, Submitted, Succeeded, Exited, and at most two more for a nested execution. */
  Nested: 8,
  Choice: 2,
  Wait: 2,
  Pass: 2,
  Succeed: 2,
} as const;
/** ExecutionStarted, and the event of the end. */
export const EVENTS_PER_EXECUTION = 2;
/** AWS fails an execution with more events. */
export const MOST_EVENTS = 25_000;

/** One loop of runctl-watch: Poll logs, Job ended?, Wait. */
const EVENTS_PER_LOOP = EVENTS_PER_STATE.Task + EVENTS_PER_STATE.Choice + EVENTS_PER_STATE.Wait;
/** One loop of the parent: Watch training, Training ended?. */
const EVENTS_PER_WATCH = EVENTS_PER_STATE.Nested + EVENTS_PER_STATE.Choice;
/** From Begin run to Confirm PID and from Finish run to the end, with a watched sync and install. */
const EVENTS_OF_PARENT = 90;

export interface WatchForecast {
  readonly polls: number;
  /** Nested executions. */
  readonly watches: number;
  /** Events of the nested execution with the most events. */
  readonly eventsPerWatch: number;
  readonly eventsOfParent: number;
}

/** The polls, watches and events for a training of `seconds`, if each poll takes `pollSeconds`. */
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
      EVENTS_PER_EXECUTION + 2 * EVENTS_PER_STATE.Pass + Math.min(polls, POLLS_PER_WATCH) * EVENTS_PER_LOOP,
    eventsOfParent: EVENTS_OF_PARENT + watches * EVENTS_PER_WATCH,
  };
}
