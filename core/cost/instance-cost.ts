import type { RunFacts } from '../workflow/data.ts';
import type { StateEvent } from '../workflow/history.ts';
import { RUN_STATES } from '../workflow/states.ts';
import { costOf } from './cost-cap.ts';
import type { Price } from './price.ts';

/**
 * An estimate of what the instance cost for a run: the time from Sync code on, without the queue. Of a run with several attempts, the
 * dollars are those of all instances, and the price is that of the last.
 */
export interface InstanceCost extends Price {
  readonly usd: number;
  readonly seconds: number;
}

/** Seconds for which a run has used its instances. */
export interface HeldSeconds {
  readonly total: number;
  /** Of the last attempt. */
  readonly last: number;
}

/**
 * @param price null: not known. @param held null: not known
 * @param spentUsd dollars of earlier attempts; null: not known
 */
export function instanceCost(
  price: Price | null | undefined,
  held: HeldSeconds | null,
  spentUsd: number | null = 0,
): InstanceCost | null {
  if (!price || held === null || spentUsd === null) return null;
  const usd = spentUsd + costOf(price, held.last);
  return { ...price, usd: Number(usd.toFixed(6)), seconds: Number(held.total.toFixed(3)) };
}

/** Of a run whose first attempt found the instance busy, what it used is not its own. */
export function costOfRun(
  { run, instance, sync }: Pick<RunFacts, 'run' | 'instance' | 'sync'>,
  held: HeldSeconds | null,
): InstanceCost | null {
  if (sync?.state === 'busy' && run?.spentUsd === undefined) return null;
  return instanceCost(instance?.price, held, run?.spentUsd);
}

/**
 * Seconds for which a run has used its instances: for each attempt, from the Sync code that got the instance to the next attempt, or to
 * `now` (epoch ms). The time in the queue is another run's, and an instance that is away is not used. null: the run has not come to it.
 */
export function heldSeconds(events: readonly StateEvent[], now: number): HeldSeconds | null {
  const attempts: number[] = [];
  let current = 0;
  let since: number | null = null;
  let awaySince: number | null = null;
  let isHeld = false;
  const close = (at: number) => {
    if (since !== null) current += Math.max(0, at - since) / 1_000;
    since = null;
  };
  for (const { kind, state, at } of events) {
    if (kind !== 'entered' || state === RUN_STATES.synced) continue;
    if (state === RUN_STATES.sync) {
      if (isHeld) {
        close(at);
        attempts.push(current);
        current = 0;
      }
      since = at;
      awaySince = null;
      isHeld = false;
    } else if (state === RUN_STATES.queue) {
      since = null;
    } else if (since !== null || awaySince !== null) {
      isHeld = true;
      if (state === RUN_STATES.returning) {
        awaySince ??= at;
        close(at);
      } else if (awaySince !== null && state !== RUN_STATES.plan && state !== RUN_STATES.planned) {
        // The same training goes on: it ran meanwhile. Else the run ends.
        since = state === RUN_STATES.watchTraining ? awaySince : at;
        awaySince = null;
      }
    }
  }
  const isUsed = since !== null || awaySince !== null || attempts.length > 0;
  close(now);
  if (!isUsed) return null;
  return { total: attempts.reduce((sum, seconds) => sum + seconds, current), last: current };
}
