import type { RunSpec } from '../spec/spec.ts';
import type { JobSnapshot, Waiting } from './data.ts';
import { shareWait } from './share-wait.ts';

/** A poll of the queue costs 9 events: with so many at most, a month in the queue leaves room for the training's watches. */
const MOST_POLLS = 1_440;
const FIRST_WAIT = 2;
const LONGEST_WAIT = 60;
/** The wait reaches LONGEST_WAIT after ten minutes. */
const SECONDS_PER_SECOND_OF_WAIT = 10;
/** A ticket stays valid through this many missed polls, and ten minutes of an AWS fault. */
const MISSED_POLLS = 3;
const FAULT_S = 600;
/** Longer than the longest stopGrace and a collection of outputs. A clean-up that takes longer is overridden. */
const CLEARED_WITHIN_S = 1_200;

/** Seconds until the queue is polled again. */
export function queueWait(waited: number, maxWait: number): number {
  const longest = Math.max(LONGEST_WAIT, Math.ceil(maxWait / MOST_POLLS));
  return shareWait(waited, { shortest: FIRST_WAIT, longest, share: SECONDS_PER_SECOND_OF_WAIT });
}

/** Seconds after which a ticket that nobody renewed is void. */
export function ticketLife(maxWait: number): number {
  return MISSED_POLLS * queueWait(Number.POSITIVE_INFINITY, maxWait) + FAULT_S;
}

/**
 * What a run does on a busy instance.
 * @param clearing a holder whose execution has ended and whose clean-up is under way: never a reason to give up
 * @param now epoch seconds
 */
export function waitForInstance(
  step: JobSnapshot,
  previous: Waiting | null,
  about: { spec: Pick<RunSpec, 'ifBusy' | 'maxWait'>; now: number; clearing: Waiting['clearing'] },
): JobSnapshot {
  const { spec, now, clearing } = about;
  const since = previous?.since ?? now;
  const waited = now - since;
  let over: Waiting['over'] = null;
  if (spec.ifBusy !== 'queue' && clearing === null) over = spec.ifBusy;
  else if (waited >= spec.maxWait) over = 'max-wait';
  // Not past the end of the waiting time: the last poll is then.
  const wait = Math.min(queueWait(waited, spec.maxWait), Math.max(1, Math.ceil(spec.maxWait - waited)));
  const notified = previous?.notified ? { notified: true } : {};
  return { ...step, wait, waiting: { since, over, clearing, ...notified } };
}

/** How long the run has waited, in seconds, when people should be notified of it; null when not yet, or when they have been. */
export function longWaitToNotify({ waiting }: JobSnapshot, now: number, longWait: number): number | null {
  if (waiting === null || waiting.notified || waiting.over !== null) return null;
  const waited = now - waiting.since;
  return waited < longWait ? null : waited;
}

/** Whether the clean-up of this holder has had its time. */
export function isOverdue(clearing: Waiting['clearing'], now: number): boolean {
  return clearing !== null && now - clearing.since > CLEARED_WITHIN_S;
}
