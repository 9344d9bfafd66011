import * as z from 'zod/mini';
import { type Gap, isMetricName } from '../metrics/point.ts';

/** A point as lines of `metric-points.jsonl.gz` have it, and with its attempt those of `metrics.jsonl.gz`. */
export const pointLine = z.object({
  name: z.string().check(z.refine(isMetricName)),
  step: z.number(),
  value: z.nullable(z.number()),
  gap: z.optional(z.enum(['nan', 'inf', '-inf'])),
});

/** Without the key `gap` where there is none. */
export function toPoint<T extends object>({ gap, ...point }: T & { readonly gap?: Gap | undefined }) {
  return { ...point, ...(gap === undefined ? {} : { gap }) };
}
