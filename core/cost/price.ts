/** What an hour of an instance costs. */
export interface Price {
  /** US dollars, without tax, discounts and Savings Plans. */
  readonly usdPerHour: number;
  /** `pricing`: AWS's price list; `spot-history`: the Spot price of the zone; `table`: the list prices that runctl carries. */
  readonly source: PriceSource;
  /** ISO 8601, UTC: when it was read; of the table, its date. */
  readonly at: string;
}

export const PRICE_SOURCES = ['pricing', 'spot-history', 'table'] as const;
export type PriceSource = (typeof PRICE_SOURCES)[number];

/** What the price of an instance depends on, as EC2 describes the instance. */
export interface PricedInstance {
  readonly type: string;
  readonly zone: string | null;
  readonly isSpot: boolean;
  /** Linux without a licence, not on hardware of its own, and not of a capacity block: what the sources have a price for. */
  readonly isPlain: boolean;
}

/** How long a price may take, ms: a run that has a cap needs it, any other shows it. */
export function priceMs({ maxCost }: { readonly maxCost?: number | null }): number {
  return maxCost ? 10_000 : 2_000;
}

const SOURCE_WORDS: Readonly<Record<PriceSource, string>> = {
  pricing: 'list price',
  'spot-history': 'Spot price',
  table: "list price of runctl's table",
};

/** A source that another version may have written. */
export function readSource(source: string): PriceSource | null {
  return PRICE_SOURCES.find((known) => known === source) ?? null;
}

/** `$1.006 an hour (list price of 2026-11-27 13:02 UTC)`. */
export function priceText({ usdPerHour, source, at }: Omit<Price, 'source'> & { source: PriceSource | null }): string {
  const words = source === null ? 'price' : SOURCE_WORDS[source];
  const time = source === 'table' ? at.slice(0, 10) : `${at.slice(0, 16).replace('T', ' ')} UTC`;
  return `$${Number(usdPerHour.toPrecision(5))} an hour (${words} of ${time})`;
}

/** Cents; of less than ten cents two digits. */
export function dollars(usd: number): string {
  if (usd >= 0.1 || usd <= 0) return `$${usd.toFixed(2)}`;
  return `$${usd >= 0.000_01 ? Number(usd.toPrecision(2)) : usd.toFixed(6)}`;
}

const REGION_OF_ZONE = /^([a-z]{2}-[a-z]+-\d)[a-z]$/;

/** The region of an Availability Zone; null for a Local Zone, and in partitions whose prices are not in this price list. */
export function regionOfZone(zone: string | null): string | null {
  const region = REGION_OF_ZONE.exec(zone ?? '')?.[1] ?? null;
  return region?.startsWith('cn-') ? null : region;
}
