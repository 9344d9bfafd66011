import type { Gap } from './point.ts';

/** A sequence that is read by position or from its start; arrays are such. */
export interface Points<T> extends Iterable<T> {
  readonly length: number;
  at(index: number): T | undefined;
}

export interface SeriesPoint {
  readonly step: number;
  readonly value: number | null;
  readonly gap?: Gap;
  readonly attempt: number;
}

const CHUNK_BITS = 10;
const CHUNK = 1 << CHUNK_BITS;

/** The values of one attempt in the order in which they came: 16 bytes a point, where objects have a hundred. Gaps are what they are as doubles. */
export class AttemptColumns {
  readonly attempt: number;
  readonly #steps: Float64Array[] = [];
  readonly #values: Float64Array[] = [];
  #length = 0;
  #isSorted = true;
  #firstStep = Number.POSITIVE_INFINITY;

  constructor(attempt: number) {
    this.attempt = attempt;
  }

  get length(): number {
    return this.#length;
  }

  /** The lowest. */
  get firstStep(): number {
    return this.#firstStep;
  }

  /** A step that comes again right behind itself is replaced. */
  add(step: number, value: number): void {
    const last = this.#length - 1;
    if (last >= 0 && this.step(last) === step) {
      this.#write(this.#values, last, value);
      return;
    }
    if (last >= 0 && step < this.step(last)) this.#isSorted = false;
    if (step < this.#firstStep) this.#firstStep = step;
    this.#write(this.#steps, this.#length, step);
    this.#write(this.#values, this.#length, value);
    this.#length += 1;
  }

  step(index: number): number {
    return this.#steps[index >> CHUNK_BITS]?.[index & (CHUNK - 1)] ?? Number.NaN;
  }

  value(index: number): number {
    return this.#values[index >> CHUNK_BITS]?.[index & (CHUNK - 1)] ?? Number.NaN;
  }

  #write(chunks: Float64Array[], index: number, value: number): void {
    let chunk = chunks[index >> CHUNK_BITS];
    if (chunk === undefined) {
      chunk = new Float64Array(CHUNK);
      chunks.push(chunk);
    }
    chunk[index & (CHUNK - 1)] = value;
  }

  /** Where the points are that count, in the order of their steps: of each step the last. null: all, as they came. */
  order(): Uint32Array | null {
    if (this.#isSorted) return null;
    const indexes = Uint32Array.from({ length: this.#length }, (_, index) => index);
    indexes.sort((a, b) => this.step(a) - this.step(b) || a - b);
    let kept = 0;
    for (let at = 0; at < indexes.length; at += 1) {
      const [index, next] = [indexes[at] ?? 0, indexes[at + 1]];
      if (next === undefined || this.step(next) !== this.step(index)) indexes[kept++] = index;
    }
    return indexes.subarray(0, kept);
  }
}

/** The points of an attempt before a step. */
interface Part {
  readonly columns: AttemptColumns;
  readonly order: Uint32Array | null;
  readonly length: number;
}

/** The points of a series, made as they are read. */
export class SeriesPoints implements Points<SeriesPoint> {
  readonly #parts: readonly Part[];
  readonly length: number;

  /**
   * Merges attempts: a later one replaces what earlier ones have from its first step on.
   * @param attempts in their order
   */
  constructor(attempts: readonly AttemptColumns[]) {
    const parts: Part[] = [];
    let limit = Number.POSITIVE_INFINITY;
    for (const columns of attempts.toReversed()) {
      const order = columns.order();
      parts.push({ columns, order, length: countBelow(columns, order, limit) });
      limit = Math.min(limit, columns.firstStep);
    }
    this.#parts = parts.reverse();
    this.length = parts.reduce((sum, part) => sum + part.length, 0);
  }

  at(index: number): SeriesPoint | undefined {
    let rest = index < 0 ? this.length + index : index;
    if (rest < 0) return undefined;
    for (const part of this.#parts) {
      if (rest < part.length) return pointOf(part, rest);
      rest -= part.length;
    }
    return undefined;
  }

  *[Symbol.iterator](): Generator<SeriesPoint> {
    for (const part of this.#parts) for (let index = 0; index < part.length; index += 1) yield pointOf(part, index);
  }
}

function countBelow(columns: AttemptColumns, order: Uint32Array | null, limit: number): number {
  let [low, high] = [0, order?.length ?? columns.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (columns.step(order?.[middle] ?? middle) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

function pointOf({ columns, order }: Part, at: number): SeriesPoint {
  const index = order?.[at] ?? at;
  const [step, value, { attempt }] = [columns.step(index), columns.value(index), columns];
  return Number.isFinite(value) ? { step, value, attempt } : { step, value: null, gap: gapOf(value), attempt };
}

function gapOf(value: number): Gap {
  if (Number.isNaN(value)) return 'nan';
  return value > 0 ? 'inf' : '-inf';
}

/** What {@link AttemptColumns} hold of a value. */
export function toDouble(value: number | null, gap: Gap | undefined): number {
  if (value !== null) return value;
  return gap === 'inf' ? Number.POSITIVE_INFINITY : gap === '-inf' ? Number.NEGATIVE_INFINITY : Number.NaN;
}
