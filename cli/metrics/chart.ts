import { type Points, reduce, type SeriesPoint } from '../../core/metrics/series.ts';
import { extent } from '../../core/report/ticks.ts';
import { formatNumber } from '../../core/units.ts';

/** A cell of braille has two columns and four rows of dots. */
const ACROSS = 2;
const DOWN = 4;
const BLANK = 0x2800;
/** The bits of a cell's dots, by column and row. */
const DOTS = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const;

export interface ChartSize {
  /** Characters, with the labels. */
  readonly width: number;
  /** Lines of the curve itself. */
  readonly height: number;
}

/** Draws a curve in braille, with the range of its values and steps. Gaps are left blank. No lines: it has no number. */
export function drawChart(points: Points<SeriesPoint>, { width, height }: ChartSize): string[] {
  const drawn = reduce(points, width * 12);
  const numbers = drawn.filter((point): point is SeriesPoint & { value: number } => point.value !== null);
  if (numbers.length === 0) return [];
  // Halves: the difference of two numbers of the largest size is infinite.
  const [low, high] = extent(numbers.map(({ value }) => value / 2));
  const [first, last] = extent(drawn.map(({ step }) => step / 2));
  const labels = [formatNumber(high * 2), formatNumber(low * 2)];
  const margin = Math.max(...labels.map((label) => label.length));
  const columns = Math.max(4, width - margin - 2);
  const canvas = new Canvas(columns, height);
  const x = (step: number) => scale(step / 2, first, last, columns * ACROSS);
  const y = (value: number) => height * DOWN - 1 - scale(value / 2, low, high, height * DOWN);
  let previous: readonly [number, number] | null = null;
  for (const { step, value } of drawn) {
    const at: readonly [number, number] | null = value === null ? null : [x(step), y(value)];
    if (at !== null) canvas.line(previous ?? at, at);
    previous = at;
  }
  const rows = canvas.rows().map((row, index) => {
    const label = index === 0 ? labels[0] : index === height - 1 ? labels[1] : '';
    return `${(label ?? '').padStart(margin)} \u2502${row}`;
  });
  const [from, to] = [formatNumber(first * 2), formatNumber(last * 2)];
  const space = ' '.repeat(Math.max(1, columns - from.length - to.length));
  return [...rows, `${' '.repeat(margin + 2)}${from}${space}${to}`];
}

/** The dot of a value, from 0 on; a curve without height is drawn in the middle. */
function scale(value: number, low: number, high: number, dots: number): number {
  if (high === low) return Math.floor(dots / 2);
  return Math.min(dots - 1, Math.floor(((value - low) / (high - low)) * (dots - 1) + 0.5));
}

class Canvas {
  readonly #columns: number;
  readonly #cells: number[];

  constructor(columns: number, rows: number) {
    this.#columns = columns;
    this.#cells = new Array<number>(columns * rows).fill(0);
  }

  line([fromX, fromY]: readonly [number, number], [toX, toY]: readonly [number, number]): void {
    const steps = Math.max(Math.abs(toX - fromX), Math.abs(toY - fromY), 1);
    for (let step = 0; step <= steps; step += 1) {
      const part = step / steps;
      this.#dot(Math.round(fromX + (toX - fromX) * part), Math.round(fromY + (toY - fromY) * part));
    }
  }

  rows(): string[] {
    const rows: string[] = [];
    for (let start = 0; start < this.#cells.length; start += this.#columns) {
      const cells = this.#cells.slice(start, start + this.#columns);
      rows.push(String.fromCharCode(...cells.map((dots) => BLANK + dots)));
    }
    return rows;
  }

  #dot(x: number, y: number): void {
    const cell = Math.floor(y / DOWN) * this.#columns + Math.floor(x / ACROSS);
    this.#cells[cell] = (this.#cells[cell] ?? 0) | (DOTS[x % ACROSS]?.[y % DOWN] ?? 0);
  }
}
