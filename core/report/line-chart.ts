import { type Points, reduce } from '../metrics/series.ts';
import { lineClass } from './chart-style.ts';
import { escapeText } from './escape.ts';
import { durationTicks, extent, formatNumber, linearTicks, logTicks, type Tick } from './ticks.ts';

/** A value at a step, or at a time in epoch milliseconds; null is a gap. In the order of the axis. */
export type ChartPoint =
  | { readonly step: number; readonly value: number | null }
  | { readonly time: number; readonly value: number | null };

export interface ChartSeries {
  readonly label: string;
  readonly points: Points<ChartPoint>;
}

export interface ChartOptions {
  /** What the chart shows: its accessible name. It is not drawn. */
  readonly title: string;
  /** Behind numbers, such as `%`. */
  readonly unit?: string;
  /** In units of the drawing, which is as wide as its place. Default: 640 × 220. */
  readonly width?: number;
  readonly height?: number;
  /** auto: logarithmic where a linear axis would press most values into one line. */
  readonly scale?: 'auto' | 'linear' | 'log';
  /** Values that the axis reaches at least, such as 0 and 100 of a percentage. */
  readonly range?: readonly [number, number];
  /** The time that the axis counts from. Default: the first time. */
  readonly origin?: number;
  /** Points that are drawn of a series; of more, the lowest and the highest of each part. */
  readonly mostPoints?: number;
  /** Default: where there are several series. */
  readonly legend?: boolean;
}

const DEFAULT_SIZE = { width: 640, height: 220 };
const DEFAULT_POINTS = 400;
/** Width of the widest digits (chart-style.ts has their size). */
const CHARACTER = 6.4;
const LEGEND_ROW = 16;
const LEGEND_LABEL = 48;
/** Marks of gaps on the axis: more of them are one line. */
const GAP_MARKS = 200;

/** Draws series as one SVG element, with no ids, no references and no script, so that any number of them can be in a page. */
export function lineChart(series: readonly ChartSeries[], options: ChartOptions): string {
  const { width, height } = { ...DEFAULT_SIZE, ...options };
  const drawn = series.map(({ label, points }) => ({ label, points: toXY(points, options) }));
  const summary = series.map((one) => describeSeries(one, options)).join(' ');
  const legend = (options.legend ?? series.length > 1) ? drawLegend(drawn, width) : { rows: 0, svg: '' };
  const axes = chooseAxes(
    drawn,
    series.some(({ points }) => isTimed(points)),
    options,
  );
  const total = height + legend.rows * LEGEND_ROW;
  const body = axes === null ? drawNothing(width, height) : drawPlot(drawn, axes, { width, height, series });
  return (
    `<svg class="chart" viewBox="0 0 ${width} ${total}" role="img" xmlns="http://www.w3.org/2000/svg">` +
    `<title>${escapeText(options.title)}</title><desc>${escapeText(summary)}</desc>` +
    `${body}<g transform="translate(0 ${height})">${legend.svg}</g></svg>`
  );
}

interface XY {
  readonly x: number;
  readonly value: number | null;
}

interface Drawn {
  readonly label: string;
  readonly points: readonly XY[];
}

interface Axes {
  readonly x: Axis;
  readonly y: Axis;
}

interface Axis {
  readonly ticks: readonly Tick[];
  /** From 0 to 1. */
  readonly place: (value: number) => number;
}

const hasTime = (point: ChartPoint): point is Extract<ChartPoint, { readonly time: number }> => 'time' in point;

function isTimed(points: Points<ChartPoint>): boolean {
  const first = points.at(0);
  return first !== undefined && hasTime(first);
}

/** Steps; times become seconds since the origin. What is not finite is a gap, or without a finite place left out. */
function toXY(points: Points<ChartPoint>, { origin, mostPoints = DEFAULT_POINTS }: ChartOptions): XY[] {
  const first = points.at(0);
  const start = origin ?? (first !== undefined && hasTime(first) ? first.time : 0);
  return reduce(points, mostPoints).flatMap((point) => {
    const x = hasTime(point) ? (point.time - start) / 1_000 : point.step;
    const value = point.value !== null && Number.isFinite(point.value) ? point.value : null;
    return Number.isFinite(x) ? [{ x, value }] : [];
  });
}

/** null: there is nothing to draw. */
function chooseAxes(drawn: readonly Drawn[], isTimed: boolean, options: ChartOptions): Axes | null {
  const points = drawn.flatMap((one) => one.points);
  const values = points.flatMap(({ value }) => (value === null ? [] : [value]));
  const xs = points.map(({ x }) => x);
  if (values.length === 0) return null;
  const [from, to] = spread(xs);
  const x: Axis = { ticks: isTimed ? durationTicks(from, to, 6) : stepTicks(xs, from, to), place: linear(from, to) };
  return { x, y: valueAxis(values, options) };
}

/** Half a step is not a step. */
function stepTicks(steps: readonly number[], from: number, to: number): readonly Tick[] {
  const ticks = linearTicks(from, to, 6);
  const whole = ticks.filter(({ at }) => Number.isInteger(at));
  return whole.length >= 2 && steps.every(Number.isInteger) ? whole : ticks;
}

function valueAxis(values: readonly number[], { scale = 'auto', range, unit = '' }: ChartOptions): Axis {
  const withUnit = (ticks: readonly Tick[]) => ticks.map(({ at, label }) => ({ at, label: `${label}${unit}` }));
  const [low, high] = extent([...values, ...(range ?? [])]);
  if (low > 0 && (scale === 'log' || (scale === 'auto' && range === undefined && isPressed(values, low, high)))) {
    const [bottom, top] =
      low === high ? [Math.max(Number.MIN_VALUE, low / 2), Math.min(Number.MAX_VALUE, high * 2)] : [low, high];
    const [first, last] = [Math.log10(bottom), Math.log10(top)];
    return { ticks: withUnit(logTicks(bottom, top, 5)), place: (value) => linear(first, last)(Math.log10(value)) };
  }
  const [bottom, top] = spread([low, high]);
  const ticks = linearTicks(bottom, top, 5);
  return { ticks: withUnit(ticks), place: linear(bottom, top) };
}

/** Whether half of the values would be within the lowest fiftieth of a linear axis. */
function isPressed(values: readonly number[], low: number, high: number): boolean {
  const limit = low + (high / 50 - low / 50);
  return high / low >= 50 && values.filter((value) => value <= limit).length * 2 >= values.length;
}

/** The range of values; of one value alone, one around it. */
function spread(values: readonly number[]): [number, number] {
  const [low, high] = extent(values);
  if (low < high) return [low, high];
  const around = Math.abs(low) / 10 || 1;
  return [Math.max(-Number.MAX_VALUE, low - around), Math.min(Number.MAX_VALUE, high + around)];
}

function linear(low: number, high: number): (value: number) => number {
  // Halves: the difference of the largest numbers is infinite.
  const span = high / 2 - low / 2;
  return (value) => (span > 0 ? Math.min(1, Math.max(0, (value / 2 - low / 2) / span)) : 0.5);
}

interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

function drawPlot(
  drawn: readonly Drawn[],
  { x, y }: Axes,
  { width, height, series }: { width: number; height: number; series: readonly ChartSeries[] },
): string {
  const widest = Math.max(...y.ticks.map(({ label }) => label.length));
  const frame = { left: Math.ceil(widest * CHARACTER) + 10, right: width - 14, top: 8, bottom: height - 22 };
  const toX = (value: number) => frame.left + x.place(value) * (frame.right - frame.left);
  const toY = (value: number) => frame.bottom - y.place(value) * (frame.bottom - frame.top);
  const rows = y.ticks.map(({ at, label }) => {
    const line = `M${frame.left} ${short(toY(at))}H${frame.right}`;
    return `<path class="grid" d="${line}"/>${text(frame.left - 6, toY(at) + 4, label, 'end')}`;
  });
  const columns = x.ticks.map(({ at, label }) => {
    const anchor = toX(at) > frame.right - label.length * 3 ? 'end' : 'middle';
    return `<path class="grid" d="M${short(toX(at))} ${frame.bottom}v4"/>${text(toX(at), height - 5, label, anchor)}`;
  });
  const axis = `<path class="axis" d="M${frame.left} ${frame.bottom}H${frame.right}"/>`;
  const curves = drawn.map(({ points }, index) => drawCurve(points, index, { toX, toY, frame }, series[index]?.label));
  return `${rows.join('')}${columns.join('')}${axis}${curves.join('')}`;
}

interface Places {
  readonly toX: (value: number) => number;
  readonly toY: (value: number) => number;
  readonly frame: Frame;
}

function drawCurve(points: readonly XY[], index: number, { toX, toY, frame }: Places, label = ''): string {
  let path = '';
  let isOpen = false;
  let [lastX, lastY] = [0, 0];
  const gaps = new Set<number>();
  for (const { x, value } of points) {
    const atX = round(toX(x));
    if (value === null) {
      gaps.add(Math.round(atX));
      isOpen = false;
      continue;
    }
    const atY = round(toY(value));
    // A point alone is a line without length, whose round ends are a dot.
    path += isOpen ? `l${pair(atX - lastX, atY - lastY)}` : `M${pair(atX, atY)}h0`;
    [lastX, lastY] = [atX, atY];
    isOpen = true;
  }
  const marks = [...gaps].slice(0, GAP_MARKS).map((at) => `M${at} ${frame.bottom - 1}v-6`);
  const named = `<title>${escapeText(label)}</title>`;
  const curve = path === '' ? '' : `<path class="${lineClass(index)}" d="${path}">${named}</path>`;
  return marks.length === 0
    ? curve
    : `${curve}<path class="gap" d="${marks.join('')}"><title>not a number</title></path>`;
}

function drawLegend(drawn: readonly Drawn[], width: number): { rows: number; svg: string } {
  let [x, row] = [8, 0];
  const items = drawn.map(({ label }, index) => {
    const shown = label.length > LEGEND_LABEL ? `${label.slice(0, LEGEND_LABEL - 1)}\u2026` : label;
    const wide = 28 + shown.length * CHARACTER + 14;
    if (x > 8 && x + wide > width) [x, row] = [8, row + 1];
    const y = row * LEGEND_ROW + 10;
    const item = `<path class="${lineClass(index)}" d="M${short(x)} ${y - 4}h20"/>${text(x + 26, y, shown, 'start')}`;
    x += wide;
    return item;
  });
  return { rows: items.length === 0 ? 0 : row + 1, svg: items.join('') };
}

function drawNothing(width: number, height: number): string {
  return text(width / 2, height / 2, 'No values yet', 'middle');
}

/** For people who do not see the drawing. */
function describeSeries({ label, points }: ChartSeries, { unit = '' }: ChartOptions): string {
  let [low, high, gaps] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  let last: number | null = null;
  for (const { value } of points) {
    if (value === null || !Number.isFinite(value)) gaps += 1;
    else {
      low = Math.min(low, value);
      high = Math.max(high, value);
      last = value;
    }
  }
  const number = (value: number) => `${formatNumber(value)}${unit}`;
  const values = last === null ? 'no values' : `last ${number(last)}, lowest ${number(low)}, highest ${number(high)}`;
  return `${label}: ${values}${gaps === 0 ? '' : `, ${gaps} not a number`}.`;
}

function text(x: number, y: number, label: string, anchor: 'start' | 'middle' | 'end'): string {
  const anchored = anchor === 'start' ? '' : ` text-anchor="${anchor}"`;
  return `<text x="${short(x)}" y="${short(y)}"${anchored}>${escapeText(label)}</text>`;
}

/** Tenths of a unit are less than a pixel. */
const round = (value: number) => Math.round(value * 10) / 10;
const short = (value: number) => String(round(value)).replace(/^(-?)0\./, '$1.');
const pair = (x: number, y: number) => {
  const [first, second] = [short(x), short(y)];
  return second.startsWith('-') ? first + second : `${first} ${second}`;
};
