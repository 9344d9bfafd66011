import { dollars, type Price, priceText } from './price.ts';

/** What of a job's time maxCost leaves. */
export interface CostCap {
  /** Seconds after which the job gets TERM. */
  readonly seconds: number;
  /** Seconds for which the run had used the instance before. */
  readonly usedSeconds: number;
  /** Dollars of earlier attempts; left out: none. */
  readonly spentUsd?: number;
}

export interface CapInput {
  /** Dollars. */
  readonly maxCost: number;
  readonly price: Price;
  /** Seconds for which the run has used the instance at this price: from Sync code to now. */
  readonly usedSeconds: number;
  /** Dollars of earlier attempts. */
  readonly spentUsd?: number;
  /** Seconds between TERM and KILL: they are within the cap. */
  readonly grace: number;
}

/** Whole dollars would lose a second to the last binary digit otherwise. */
const ROUNDING_S = 1e-6;

/** How long a job may last until it has to be over because of maxCost. Below one second: nothing may start any more. */
export function costCap({ maxCost, price, usedSeconds, spentUsd = 0, grace }: CapInput): CostCap {
  const affordable = ((maxCost - spentUsd) / price.usdPerHour) * 3_600;
  const seconds = Math.max(0, Math.floor(affordable - usedSeconds - grace + ROUNDING_S));
  return { seconds, usedSeconds, ...(spentUsd > 0 ? { spentUsd } : {}) };
}

/** Dollars for so long at this price. */
export function costOf({ usdPerHour }: Pick<Price, 'usdPerHour'>, seconds: number): number {
  return (usdPerHour * seconds) / 3_600;
}

/** What the run reached, for the message of CostCapped. @param usedSeconds of the instance */
export function capText({ maxCost, price, usedSeconds, spentUsd = 0 }: Omit<CapInput, 'grace'>): string {
  const usd = spentUsd + costOf(price, usedSeconds);
  return `about ${dollars(usd)} of maxCost ($${maxCost}), at ${priceText(price)}`;
}
