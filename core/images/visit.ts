import { type ErrorName, RunError } from '../errors.ts';
import { shareWait } from '../workflow/share-wait.ts';
import type { Bake, BakeOutput, Waiting } from './data.ts';

export interface Patience {
  /** Seconds that the state may take in all. */
  readonly longest: number;
  /** Of the run's error when it takes longer. */
  readonly error: ErrorName;
}

/** Seconds between two visits: a twentieth of the time so far, within these. */
const PAUSE = { shortest: 10, longest: 300, share: 20 };

export function done(bake: Bake): BakeOutput {
  return { bake, waiting: null };
}

/**
 * The state is visited again.
 * @param before of the visit before
 * @param at epoch seconds
 * @throws RunError after the longest time
 */
export function again(
  bake: Bake,
  before: Pick<Waiting, 'since'> | null,
  at: number,
  message: string,
  { longest, error }: Patience,
): BakeOutput {
  const since = before?.since ?? at;
  const lasted = at - since;
  if (lasted >= longest) throw new RunError(error, `${message} That did not change within ${Math.round(lasted)} s.`);
  return { bake, waiting: { since, wait: shareWait(lasted, PAUSE), message } };
}
