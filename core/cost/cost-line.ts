import { formatDuration } from '../units.ts';
import type { InstanceCost } from './instance-cost.ts';
import { dollars, priceText, readSource } from './price.ts';

/** An instance's cost as a manifest has it. */
type StoredCost = Omit<InstanceCost, 'source'> & { readonly source: string };

/** `about $0.42 of $5, for 25 min 00 s of the instance at $1.006 an hour (…)`. null: not known. @param maxCost dollars; null: no cap */
export function costLine(cost: StoredCost | null, maxCost: number | null): string | null {
  if (cost === null) return null;
  const cap = maxCost === null ? '' : ` of maxCost ($${maxCost})`;
  const price = priceText({ ...cost, source: readSource(cost.source) });
  return `about ${dollars(cost.usd)}${cap}: ${formatDuration(cost.seconds)} of the instance at ${price}`;
}

/** The `maxCost` of a spec, whichever version wrote it. null: none. */
export function maxCostOf(spec: Readonly<object> | null | undefined): number | null {
  const { maxCost } = Object(spec) as { maxCost?: unknown };
  return typeof maxCost === 'number' ? maxCost : null;
}
