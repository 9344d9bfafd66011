import { costOf } from '../cost/cost-cap.ts';
import type { Price } from '../cost/price.ts';
import { estimateCost, pollsIn } from './cost.ts';

/** List prices of us-east-1, in US dollars, on 2026-11-24; AWS's pricing pages of EBS and S3: a GB and month. */
const SNAPSHOT_GB_MONTH = 0.05;
const STANDARD_GB_MONTH = 0.023;

/** An idle instance is asked at `stopAfter`, and stopped within so many seconds: a goal, not measured on AWS. */
const STOP_S = 60;

/** What an instance costs after the last run, until it is stopped. @param stopAfter seconds */
export function idleCost(price: Price, stopAfter: number): { readonly seconds: number; readonly usd: number } {
  const seconds = stopAfter + STOP_S;
  return { seconds, usd: costOf(price, seconds) };
}

/** States of the two runs of a bake, and of runctl-bake around them, with its visits of instances and images. */
const BAKE_STATES_ENTERED = 2 * 20 + 70;

/** What a bake costs: two instances, and runctl itself. @param builder, test seconds for which each instance runs */
export function bakeCost(price: Price, { builder, test }: { readonly builder: number; readonly test: number }): number {
  const polls = pollsIn(builder) + pollsIn(test);
  return costOf(price, builder + test) + estimateCost({ states: BAKE_STATES_ENTERED, polls });
}

/** What the snapshots of an image cost a month. @param gigabytes in use on its volumes */
export function imageMonth(gigabytes: number): number {
  return gigabytes * SNAPSHOT_GB_MONTH;
}

/** What a stored environment costs a month. @param gigabytes of its archive */
export function environmentMonth(gigabytes: number): number {
  return gigabytes * STANDARD_GB_MONTH;
}
