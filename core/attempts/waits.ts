import { shareWait } from '../workflow/share-wait.ts';

/** The history of an execution has 25,000 events; a visit and its wait take nine (bench/history-events.ts). */
export const MAX_VISITS = 1_000;

/** Seconds until an instance is looked for again that has been away for so long: at most 5% of it, from 15 s to an hour. */
export function waitSeconds(away: number): number {
  return shareWait(away, { shortest: 15, longest: 3_600, share: 20 });
}
