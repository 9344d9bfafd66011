import type { Point } from '../../core/metrics/point.ts';
import { type Series, type SeriesPoint, summarize } from '../../core/metrics/series.ts';
import { formatNumber } from '../../core/units.ts';
import { toJson } from '../terminal/style.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { drawChart } from './chart.ts';

/** Curves that are drawn when no metric is named. */
const CURVES = 4;
const HEIGHT = 8;
const WIDEST = 100;
const DEFAULT_WIDTH = 80;

export interface RunSeries {
  readonly run: string;
  readonly series: readonly Series[];
}

/** A table of all metrics of a run, and curves: of all that were asked for, otherwise of the first. */
export function printSeries(terminal: Terminal, { series }: RunSeries, areNamed: boolean): void {
  const rows = series.map((one) => {
    const { name, last, gap, lastStep, min, max, points } = summarize(one);
    return [name, last === null ? (gap ?? '') : formatNumber(last), ...[lastStep, min, max, points].map(cell)];
  });
  terminal.table(['METRIC', 'LAST', 'STEP', 'MIN', 'MAX', 'POINTS'], rows);
  const width = Math.min(WIDEST, terminal.out.columns ?? DEFAULT_WIDTH);
  for (const { name, points } of areNamed ? series : series.slice(0, CURVES)) {
    const chart = drawChart(points, { width, height: HEIGHT });
    if (chart.length > 0) terminal.print(`\n${terminal.colors.bold(name)}\n${chart.join('\n')}`);
  }
  for (const { name, gap, gapSince } of series.map(summarize))
    if (gapSince !== null) terminal.warn(`${name} is ${gap} since step ${formatNumber(gapSince)}`);
  if (!areNamed && series.length > CURVES)
    terminal.note(`${series.length - CURVES} more curves are not drawn. To choose: runctl metrics --name <metric>`);
}

const cell = (value: number | null) => (value === null ? '-' : formatNumber(value));

export function printSeriesJson(terminal: Pick<Terminal, 'json'>, runs: readonly RunSeries[]): void {
  const document = runs.map(({ run, series }) => ({
    run,
    metrics: series.map((one) => ({ ...summarize(one), values: Array.from(one.points, toValue) })),
  }));
  terminal.json(document);
}

function toValue({ step, value, gap, attempt }: SeriesPoint) {
  return { step, value, ...(gap === undefined ? {} : { gap }), attempt };
}

export const CSV_HEAD = 'run,metric,step,value,attempt';

/** Names and ids have no comma and no quotation mark; a gap has the word that the log has. */
export function toCsv(run: string, { name, step, value, gap, attempt }: Omit<Point, 'offset'>): string {
  return [run, name, step, value ?? gap ?? '', attempt].join(',');
}

export function toJsonLine(run: string, { name, step, value, gap, attempt }: Point): string {
  return toJson({ run, metric: name, step, value, ...(gap === undefined ? {} : { gap }), attempt });
}

export function toTextLine({ name, step, value, gap }: Point): string {
  return `${formatNumber(step)}  ${name}  ${value === null ? gap : formatNumber(value)}`;
}
