import { isMetricName } from './point.ts';

/** Losses first: they are what people look for. */
const FIRST = [/^(train[_/ -]?)?loss$/i, /val.*loss|loss.*val|eval.*loss/i, /loss/i, /acc/i];

type Named = { readonly name: string };

/**
 * The metric that stands for a training where there is room for one.
 * @param chosen names that the run's spec gives, the most important one first
 */
export function headlineOf<T extends Named>(metrics: readonly T[], chosen: readonly string[] = []): T | null {
  return byHeadline(metrics, chosen)[0] ?? null;
}

/** Sorted: what the spec names, then what people mostly look for, then the others as they came. */
export function byHeadline<T extends Named>(metrics: readonly T[], chosen: readonly string[] = []): T[] {
  const rank = ({ name }: T) => {
    const at = chosen.indexOf(name);
    if (at >= 0) return at;
    const like = FIRST.findIndex((pattern) => pattern.test(name));
    return chosen.length + (like < 0 ? FIRST.length : like);
  };
  return [...metrics].sort((a, b) => rank(a) - rank(b));
}

/**
 * The names in a spec's `headline`. Anybody may have written it, so what is not one is left out.
 * @param spec of a manifest, of a snapshot, or the input of an execution
 */
export function headlinesIn(spec: unknown): string[] {
  const { headline } = Object(spec) as { headline?: unknown };
  if (!Array.isArray(headline)) return [];
  const names = headline.filter((name): name is string => typeof name === 'string' && isMetricName(name));
  return names.slice(0, MAX_HEADLINES);
}

/** CloudWatch metrics of a project cost $0.30 a month each: few. */
export const MAX_HEADLINES = 3;
