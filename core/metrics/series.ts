import type { Gap, Point } from './point.ts';

export interface SeriesPoint {
  readonly step: number;
  readonly value: number | null;
  readonly gap?: Gap;
  readonly offset: number;
  readonly attempt: number;
}

/** A metric over its steps, in their order. */
export interface Series {
  readonly name: string;
  readonly points: readonly SeriesPoint[];
}

export interface SeriesSummary {
  readonly name: string;
  readonly points: number;
  /** null: the last is a gap, and `gap` says of what kind. */
  readonly last: number | null;
  readonly gap: Gap | null;
  readonly lastStep: number;
  /** null: the series has gaps alone. */
  readonly min: number | null;
  readonly max: number | null;
  /** Step since which every value is a gap; null when the last value is a number. */
  readonly gapSince: number | null;
}

/** Collects points. Of a step that is reported again the last value counts; a later attempt replaces all from its first step on. */
export class SeriesSet {
  readonly #series = new Map<string, { attempt: number; steps: Map<number, SeriesPoint> }>();

  add(points: readonly Point[]): void {
    for (const { name, ...point } of points) {
      const series = this.#series.get(name) ?? { attempt: point.attempt, steps: new Map<number, SeriesPoint>() };
      this.#series.set(name, series);
      if (point.attempt < series.attempt) continue;
      if (point.attempt > series.attempt) {
        series.attempt = point.attempt;
        for (const step of series.steps.keys()) if (step >= point.step) series.steps.delete(step);
      }
      series.steps.set(point.step, point);
    }
  }

  get isEmpty(): boolean {
    return this.#series.size === 0;
  }

  /** Of these names; of all when there are none. In the order in which the log has named them. */
  all(names: readonly string[] = []): Series[] {
    return [...this.#series]
      .filter(([name]) => names.length === 0 || names.includes(name))
      .map(([name, { steps }]) => ({ name, points: [...steps.values()].sort((a, b) => a.step - b.step) }));
  }
}

export function summarize({ name, points }: Series): SeriesSummary {
  let min: number | null = null;
  let max: number | null = null;
  let gapSince: number | null = null;
  for (const { step, value } of points) {
    if (value === null) gapSince ??= step;
    else {
      gapSince = null;
      min = min === null || value < min ? value : min;
      max = max === null || value > max ? value : max;
    }
  }
  const last = points.at(-1);
  const { value = null, gap = null, step = 0 } = last ?? {};
  return { name, points: points.length, last: value, gap, lastStep: step, min, max, gapSince };
}

/**
 * At most about `most` points that draw the same picture: of each part of the points, which are in their order, the lowest and the
 * highest value, the first and the last point, and one gap where a part has any.
 */
export function reduce<T extends { readonly value: number | null }>(points: readonly T[], most: number): readonly T[] {
  if (points.length <= most) return points;
  const buckets = Math.max(1, Math.floor((most - 2) / 3));
  const size = points.length / buckets;
  const kept = new Set<number>([0, points.length - 1]);
  for (let bucket = 0; bucket < buckets; bucket += 1)
    for (const index of extremes(points, Math.floor(bucket * size), Math.floor((bucket + 1) * size))) kept.add(index);
  return [...kept].sort((a, b) => a - b).flatMap((index) => points[index] ?? []);
}

function extremes(points: readonly { readonly value: number | null }[], from: number, to: number): number[] {
  let [low, high, gap] = [-1, -1, -1];
  let [lowest, highest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let index = from; index < to; index += 1) {
    const value = points[index]?.value ?? null;
    if (value === null || !Number.isFinite(value)) {
      if (gap === -1) gap = index;
      continue;
    }
    if (low === -1 || value < lowest) [low, lowest] = [index, value];
    if (high === -1 || value > highest) [high, highest] = [index, value];
  }
  return [low, high, gap].filter((index) => index >= 0);
}
