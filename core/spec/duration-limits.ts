import { formatDuration, parseDuration } from '../units.ts';
import { InvalidSpec, type RunSpec, type SpecInput } from './spec.ts';

/** The durations of a spec that the administrator may limit for the whole stack. */
export const LIMITED_DURATIONS = ['maxDuration', 'maxWait', 'stopGrace', 'lingerGrace'] as const;
export type LimitedDuration = (typeof LIMITED_DURATIONS)[number];

/** The longest that each may be, as text such as `3d`. A key that is left out has only the limit of the schema. */
export type DurationLimits = Readonly<Partial<Record<LimitedDuration, string>>>;

/**
 * Lowers a default to the stack's limit. A duration that a source gives is not changed: above the limit it is refused.
 * @param sources what `spec` was resolved from
 * @throws InvalidSpec naming the key and the limit
 */
export function limitDurations(spec: RunSpec, limits: DurationLimits, ...sources: readonly SpecInput[]): RunSpec {
  const limited: Partial<Record<LimitedDuration, number>> = {};
  for (const key of LIMITED_DURATIONS) {
    const text = limits[key];
    if (text === undefined || spec[key] <= parseDuration(text)) continue;
    if (sources.some((source) => source[key] !== undefined)) {
      throw new InvalidSpec(
        `${key} is ${formatDuration(spec[key])}, and this stack allows ${text} at most (context runctl:durationLimits); give a shorter one`,
      );
    }
    limited[key] = parseDuration(text);
  }
  return { ...spec, ...limited };
}
