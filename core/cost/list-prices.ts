import type { Price, PricedInstance } from './price.ts';
import { regionOfZone } from './price.ts';

/**
 * On-demand list prices of Linux instances that trainings use, US dollars an hour, in us-east-1: as Karpenter has generated them from
 * AWS's price list (github.com/aws/karpenter-provider-aws, pkg/providers/pricing/zz_generated.pricing_aws.go, commit 1d92708).
 */
export const LIST_PRICES_OF = '2026-07-20';
/** Where each of these prices is the same, by the data of instances.vantage.sh of 2025-11-30 (github.com/tsaol/aws-gpu). */
const REGIONS: readonly string[] = ['us-east-1', 'us-east-2', 'us-west-2'];

const LIST_PRICES: Readonly<Record<string, number>> = {
  'g4dn.xlarge': 0.526,
  'g4dn.2xlarge': 0.752,
  'g4dn.4xlarge': 1.204,
  'g4dn.8xlarge': 2.176,
  'g4dn.12xlarge': 3.912,
  'g4dn.16xlarge': 4.352,
  'g5.xlarge': 1.006,
  'g5.2xlarge': 1.212,
  'g5.4xlarge': 1.624,
  'g5.8xlarge': 2.448,
  'g5.12xlarge': 5.672,
  'g5.16xlarge': 4.096,
  'g5.24xlarge': 8.144,
  'g5.48xlarge': 16.288,
  'g6.xlarge': 0.8048,
  'g6.2xlarge': 0.9776,
  'g6.4xlarge': 1.3232,
  'g6.8xlarge': 2.0144,
  'g6.12xlarge': 4.6016,
  'g6.16xlarge': 3.3968,
  'g6.24xlarge': 6.6752,
  'g6.48xlarge': 13.3504,
  'g6e.xlarge': 1.861,
  'g6e.2xlarge': 2.24208,
  'g6e.4xlarge': 3.00424,
  'g6e.8xlarge': 4.52856,
  'g6e.12xlarge': 10.49264,
  'g6e.16xlarge': 7.57719,
  'g6e.24xlarge': 15.06559,
  'g6e.48xlarge': 30.13118,
  'p3.2xlarge': 3.06,
  'p3.8xlarge': 12.24,
  'p3.16xlarge': 24.48,
  'p4d.24xlarge': 21.957642,
  'p5.48xlarge': 55.04,
};

/** The price of the table; null: it has none. A Spot price changes too much for a table. */
export function listPrice({ type, zone, isSpot, isPlain }: PricedInstance): Price | null {
  const region = regionOfZone(zone);
  const usdPerHour = Object.hasOwn(LIST_PRICES, type) ? LIST_PRICES[type] : undefined;
  if (usdPerHour === undefined || isSpot || !isPlain || region === null || !REGIONS.includes(region)) return null;
  return { usdPerHour, source: 'table', at: `${LIST_PRICES_OF}T00:00:00.000Z` };
}
