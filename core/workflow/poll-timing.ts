import { shareWait } from './share-wait.ts';

/** A poll of runctl-watch costs 9 events; 2,000 polls are 18,000 of 25,000, with room for retries at 3 events each. */
export const POLLS_PER_WATCH = 2_000;

const FIRST_WAIT = 2;
export const LONGEST_WAIT = 20;
/** The wait reaches LONGEST_WAIT after 400 s: short runs feel live, long ones cost 180 polls an hour. */
const SECONDS_PER_SECOND_OF_WAIT = 20;

/** Of one poll, while a checkpoint is about to be complete or is being sent: it is committed 25 s after its rename at most. */
export const CHECKPOINT_WAIT = 10;

/** @param before the wait before this poll: every other one is short, so that a training that saves always is not polled more often */
export function waitForCheckpoint(wait: number, before: number): number {
  return before === CHECKPOINT_WAIT ? wait : Math.min(wait, CHECKPOINT_WAIT);
}

/**
 * Seconds until the next poll: none while more log waits, 2 at first, 20 from 400 s on.
 * @param elapsed seconds since the job's start, by the instance's clock; anything that is not a number counts as 0
 */
export function nextWait(elapsed: number, more: boolean): number {
  if (more) return 0;
  const lasted = Number.isFinite(elapsed) ? elapsed : 0;
  return shareWait(lasted, { shortest: FIRST_WAIT, longest: LONGEST_WAIT, share: SECONDS_PER_SECOND_OF_WAIT });
}
