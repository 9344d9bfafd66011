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
 * At most about `most` points that draw the same picture: of each part of the steps its lowest and its highest value, the first and the last
 * point, and one gap where a part has any.
 */
export function reduce(points: readonly SeriesPoint[], most: number): readonly SeriesPoint[] {
  if (points.length <= most) return points;
  const buckets = Math.max(1, Math.floor((most - 2) / 3));
  const size = points.length / buckets;
  const kept: SeriesPoint[] = [];
  const keep = (point: SeriesPoint | undefined) => {
    if (point !== undefined && kept.at(-1) !== point) kept.push(point);
  };
  keep(points[0]);
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const part = points.slice(Math.floor(bucket * size), Math.floor((bucket + 1) * size));
    for (const point of extremes(part)) keep(point);
  }
  keep(points.at(-1));
  return kept;
}

function extremes(part: readonly SeriesPoint[]): SeriesPoint[] {
  let low: SeriesPoint | undefined;
  let high: SeriesPoint | undefined;
  let gap: SeriesPoint | undefined;
  for (const point of part) {
    if (point.value === null) gap ??= point;
    else {
      if (low === undefined || point.value < (low.value ?? 0)) low = point;
      if (high === undefined || point.value > (high.value ?? 0)) high = point;
    }
  }
  const found = new Set([low, high, gap].filter((point) => point !== undefined));
  return [...found].sort((a, b) => a.step - b.step);
}
