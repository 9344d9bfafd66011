import { AttemptColumns, type Points, type SeriesPoint, SeriesPoints, toDouble } from './columns.ts';
import type { Gap, Point } from './point.ts';

export type { Points, SeriesPoint } from './columns.ts';

/** A metric over its steps, in their order. */
export interface Series {
  readonly name: string;
  readonly points: Points<SeriesPoint>;
}

export interface SeriesSummary {
  readonly name: string;
  readonly points: number;
  readonly firstStep: number;
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

/**
 * Collects points. Of a step that an attempt reports again the last value counts; a later attempt replaces all that earlier ones have
 * from its first step on, in whatever order the points come.
 */
export class SeriesSet {
  readonly #series = new Map<string, AttemptColumns[]>();
  #count = 0;

  add(points: readonly Omit<Point, 'offset'>[]): void {
    for (const { name, step, value, gap, attempt } of points) {
      let attempts = this.#series.get(name);
      if (attempts === undefined) {
        attempts = [];
        this.#series.set(name, attempts);
      }
      const columns = attempts.find((one) => one.attempt === attempt) ?? insert(attempts, attempt);
      this.#count -= columns.length;
      columns.add(step, toDouble(value, gap));
      this.#count += columns.length;
    }
  }

  get isEmpty(): boolean {
    return this.#series.size === 0;
  }

  /** Points that are held, those that others replace included. */
  get count(): number {
    return this.#count;
  }

  /** How many series there are. */
  get size(): number {
    return this.#series.size;
  }

  has(name: string): boolean {
    return this.#series.has(name);
  }

  /** Of these names; of all when there are none. In the order in which the log has named them. To be read before more is added. */
  all(names: readonly string[] = []): Series[] {
    return [...this.#series]
      .filter(([name]) => names.length === 0 || names.includes(name))
      .map(([name, attempts]) => ({ name, points: new SeriesPoints(attempts) }));
  }
}

/** Puts an attempt in its place among the others. */
function insert(attempts: AttemptColumns[], attempt: number): AttemptColumns {
  const columns = new AttemptColumns(attempt);
  const later = attempts.findIndex((one) => one.attempt > attempt);
  attempts.splice(later < 0 ? attempts.length : later, 0, columns);
  return columns;
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
  const { value = null, gap = null, step = 0 } = points.at(-1) ?? {};
  const firstStep = points.at(0)?.step ?? 0;
  return { name, points: points.length, firstStep, last: value, gap, lastStep: step, min, max, gapSince };
}

/**
 * At most about `most` points that draw the same picture: of each part of the points, which are in their order, the lowest and the
 * highest value, the first and the last point, and one gap where a part has any.
 */
export function reduce<T extends { readonly value: number | null }>(points: Points<T>, most: number): readonly T[] {
  if (points.length <= most) return [...points];
  const buckets = Math.max(1, Math.floor((most - 2) / 3));
  const size = points.length / buckets;
  const kept = new Set<number>([0, points.length - 1]);
  for (let bucket = 0; bucket < buckets; bucket += 1)
    for (const index of extremes(points, Math.floor(bucket * size), Math.floor((bucket + 1) * size))) kept.add(index);
  return [...kept].sort((a, b) => a - b).flatMap((index) => points.at(index) ?? []);
}

function extremes(points: Points<{ readonly value: number | null }>, from: number, to: number): number[] {
  let [low, high, gap] = [-1, -1, -1];
  let [lowest, highest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let index = from; index < to; index += 1) {
    const value = points.at(index)?.value ?? null;
    if (value === null || !Number.isFinite(value)) {
      if (gap === -1) gap = index;
      continue;
    }
    if (low === -1 || value < lowest) [low, lowest] = [index, value];
    if (high === -1 || value > highest) [high, highest] = [index, value];
  }
  return [low, high, gap].filter((index) => index >= 0);
}
