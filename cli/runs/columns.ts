import { dollars } from '../../core/cost/price.ts';
import { headlineOf } from '../../core/metrics/headline.ts';
import type { LatestValue } from '../../core/metrics/latest.ts';
import { formatDuration, formatNumber } from '../../core/units.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { formatTime } from '../terminal/times.ts';
import { colorWord } from '../terminal/word-color.ts';
import { argumentNamed } from './arguments.ts';
import type { RunSummary } from './summary.ts';

/** Arguments beyond this are cut in a table; --csv and --json have all of them. */
const CUT_AT = 48;

/** What a column has of a run: seconds, dollars and values as numbers, times in ISO 8601. */
export type Cell = string | number | null;

export interface Column {
  readonly name: string;
  readonly heading: string;
  /** @param now epoch milliseconds */
  readonly value: (run: RunSummary, now: number) => Cell;
  /** The text of a table; by default the value. */
  readonly text?: (run: RunSummary, now: number, terminal: Terminal) => string | null;
}

const seconds = (value: (run: RunSummary, now: number) => number | null): Pick<Column, 'value' | 'text'> => ({
  value,
  text: (run, now) => durationText(value(run, now)),
});
const words = (value: (run: RunSummary) => string | null): Pick<Column, 'value' | 'text'> => ({
  value,
  text: (run) => cut(value(run)),
});

const total = seconds(({ startedAt, endedAt }, now) => ((endedAt ?? now) - startedAt) / 1_000);

const FIXED = {
  run: { value: ({ id }) => id },
  project: { value: ({ project }) => project },
  state: { value: ({ state }) => state, text: ({ state }, _, terminal) => colorWord(terminal, state) },
  started: {
    value: ({ startedAt }) => new Date(startedAt).toISOString(),
    text: ({ startedAt }) => formatTime(startedAt),
  },
  training: seconds(({ trainingSeconds }) => trainingSeconds),
  queue: seconds(({ queueSeconds }) => queueSeconds),
  total,
  duration: total,
  instance: { value: ({ instance }) => instance },
  command: words(({ script, args }) => (script === null ? null : [script, ...(args ?? []).map(quoted)].join(' '))),
  script: { value: ({ script }) => script },
  args: words(({ args }) => (args?.length ? args.map(quoted).join(' ') : null)),
  commit: {
    value: ({ gitCommit, gitDirty }) => gitCommit && `${gitCommit}${gitDirty ? '+' : ''}`,
    text: ({ gitCommit, gitDirty }) => gitCommit && `${gitCommit.slice(0, 10)}${gitDirty ? '+' : ''}`,
  },
  name: words(({ name }) => name),
  note: words(({ note }) => note),
  by: { value: ({ startedBy }) => startedBy },
  metric: {
    value: ({ metrics, headlines }) => metricText(headlineOf(metrics, headlines), String),
    text: ({ metrics, headlines }) => metricText(headlineOf(metrics, headlines), formatNumber),
  },
  cost: {
    value: totalCost,
    text: (run) => {
      const usd = totalCost(run);
      return usd === null ? null : dollars(usd);
    },
  },
} as const satisfies Record<string, Omit<Column, 'name' | 'heading'>>;

/** Estimate of the instance and of runctl itself. Without the instance's price there is none: the rest is nothing beside it. */
function totalCost({ costUsd, instanceCostUsd }: RunSummary): number | null {
  return instanceCostUsd === null ? null : instanceCostUsd + (costUsd ?? 0);
}

export const COLUMN_NAMES = Object.keys(FIXED) as (keyof typeof FIXED)[];

/** The column of a name that --columns takes: one of {@link COLUMN_NAMES}, `args.<name>` or `metric.<name>`. null: there is none. */
export function columnNamed(name: string): Column | null {
  const [, kind, key] = /^(args|metric)\.(.+)$/.exec(name) ?? [];
  if (kind === 'args' && key !== undefined) {
    return { name, heading: key, ...words(({ args }) => argumentNamed(args ?? [], key)) };
  }
  if (kind === 'metric' && key !== undefined) {
    const of = ({ metrics }: RunSummary) => metrics.find((metric) => metric.name === key) ?? null;
    return {
      name,
      heading: key,
      value: (run) => reported(of(run)),
      text: (run) => {
        const value = reported(of(run));
        return typeof value === 'number' ? formatNumber(value) : value;
      },
    };
  }
  const fixed = COLUMN_NAMES.find((one) => one === name);
  return fixed === undefined ? null : { name, heading: name.toUpperCase(), ...FIXED[fixed] };
}

/** Of a list of one project, and of all. Names and metrics are shown when a run has one. */
export function defaultColumns(allProjects: boolean, runs: readonly RunSummary[]): Column[] {
  const names = [
    'run',
    ...(runs.some(({ name }) => name !== null) ? ['name'] : []),
    ...(allProjects ? ['project'] : []),
    'state',
    'started',
    'training',
    ...(runs.some(({ metrics }) => metrics.length > 0) ? ['metric'] : []),
    'command',
    'commit',
    'by',
  ];
  return names.flatMap((name) => columnNamed(name) ?? []);
}

export function printRuns(
  terminal: Terminal,
  runs: readonly RunSummary[],
  columns: readonly Column[],
  now: number,
): void {
  terminal.table(
    columns.map(({ heading }) => heading),
    runs.map((run) =>
      columns.map(({ value, text }) => {
        const shown = text === undefined ? value(run, now) : text(run, now, terminal);
        return shown === null ? '-' : String(shown);
      }),
    ),
  );
}

/** Comma-separated values as RFC 4180 has them, under the names of the columns. */
export function printCsv(
  terminal: Pick<Terminal, 'print'>,
  runs: readonly RunSummary[],
  columns: readonly Column[],
  now: number,
): void {
  terminal.print(columns.map(({ name }) => csvCell(name)).join(','));
  for (const run of runs) terminal.print(columns.map(({ value }) => csvCell(value(run, now))).join(','));
}

/** @returns the runs by the values of a column; those without one are last, the others of the same value stay in order */
export function sortRuns(
  runs: readonly RunSummary[],
  by: { readonly column: Column; readonly descending: boolean },
  now: number,
): RunSummary[] {
  const direction = by.descending ? -1 : 1;
  const keyed = runs.map((run) => ({ run, key: sortKey(by.column.value(run, now)) }));
  const known = keyed.filter(({ key }) => key !== null).sort((a, b) => direction * compare(a.key, b.key));
  return [...known, ...keyed.filter(({ key }) => key === null)].map(({ run }) => run);
}

/** An argument that is a number sorts as one; NaN and infinities, which are words here, as none. */
function sortKey(cell: Cell): Cell {
  if (typeof cell !== 'string') return cell;
  if (cell === 'nan' || cell === 'inf' || cell === '-inf') return null;
  const number = Number(cell);
  return cell.trim() !== '' && Number.isFinite(number) ? number : cell;
}

/** Numbers before texts. */
function compare(a: Cell, b: Cell): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
  return String(a).localeCompare(String(b), 'en', { numeric: true });
}

function csvCell(cell: Cell): string {
  const text = cell === null ? '' : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function reported(metric: LatestValue | null): Cell {
  return metric === null ? null : (metric.value ?? metric.gap ?? null);
}

function metricText(metric: LatestValue | null, format: (value: number) => string): string | null {
  if (metric === null) return null;
  const { name, value, gap, step } = metric;
  return `${name} ${value === null ? gap : format(value)} (step ${format(step)})`;
}

function durationText(value: number | null): string | null {
  return value === null || value === 0 ? null : formatDuration(value);
}

/** An argument as one types it into a shell, where `$` and `!` mean themselves; one with control characters as JSON. */
export function quoted(arg: string): string {
  if (/^[\w./:=,@%+-]+$/.test(arg)) return arg;
  return /\p{Cc}/u.test(arg) ? JSON.stringify(arg) : `'${arg.replaceAll("'", String.raw`'\''`)}'`;
}

function cut(text: string | null): string | null {
  return text === null || text.length <= CUT_AT ? text : `${text.slice(0, CUT_AT - 1)}…`;
}
