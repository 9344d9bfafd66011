import type { StateEvent } from '../workflow/history.ts';
import { RUN_STATES } from '../workflow/states.ts';
import { costOf } from './cost-cap.ts';
import type { Price } from './price.ts';

/** An estimate of what the instance cost for a run: the time from Sync code on, without the queue. */
export interface InstanceCost extends Price {
  readonly usd: number;
  readonly seconds: number;
}

/** @param price null: not known. @param seconds null: not known */
export function instanceCost(price: Price | null | undefined, seconds: number | null): InstanceCost | null {
  if (!price || seconds === null) return null;
  return { ...price, usd: Number(costOf(price, seconds).toFixed(6)), seconds: Number(seconds.toFixed(3)) };
}

/**
 * Seconds for which a run has used its instance: from the Sync code that got it to `now` (epoch ms). The time in the queue is another
 * run's. null: the run has not come to it.
 */
export function instanceSeconds(events: readonly StateEvent[], now: number): number | null {
  let since: number | null = null;
  let used: number | null = null;
  const close = (at: number) => {
    if (since !== null) used = (used ?? 0) + Math.max(0, at - since);
    since = null;
  };
  let isHeld = false;
  for (const { kind, state, at } of events) {
    if (kind !== 'entered' || state === RUN_STATES.synced) continue;
    // Another attempt begins; or, in the queue, the code was not synced yet.
    if ((isHeld && state === RUN_STATES.sync) || state === RUN_STATES.find) close(at);
    if (state === RUN_STATES.sync) since = at;
    else if (state === RUN_STATES.queue) since = null;
    isHeld = state !== RUN_STATES.sync && state !== RUN_STATES.queue;
  }
  close(now);
  return used === null ? null : used / 1_000;
}
