import { formatDuration } from '../../core/units.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { formatTime } from '../terminal/times.ts';
import { colorWord } from '../terminal/word-color.ts';
import type { RunSummary } from './summary.ts';

/** Arguments beyond this are cut in a table; --json has all of them. */
const CUT_AT = 48;

interface Column {
  readonly heading: string;
  /** @param now epoch milliseconds */
  readonly value: (run: RunSummary, now: number, terminal: Terminal) => string | null;
}

/** The columns of `runctl list`, by the name that --columns takes. */
export const COLUMNS = {
  run: { heading: 'RUN', value: ({ id }) => id },
  project: { heading: 'PROJECT', value: ({ project }) => project },
  state: { heading: 'STATE', value: ({ state }, _, terminal) => colorWord(terminal, state) },
  started: { heading: 'STARTED', value: ({ startedAt }) => formatTime(startedAt) },
  training: { heading: 'TRAINING', value: ({ trainingSeconds }) => secondsOf(trainingSeconds) },
  queue: { heading: 'QUEUE', value: ({ queueSeconds }) => secondsOf(queueSeconds) },
  total: {
    heading: 'TOTAL',
    value: ({ startedAt, endedAt }, now) => secondsOf(((endedAt ?? now) - startedAt) / 1_000),
  },
  instance: { heading: 'INSTANCE', value: ({ instance }) => instance },
  command: {
    heading: 'COMMAND',
    value: ({ script, args }) => (script === null ? null : cut([script, ...(args ?? []).map(quoted)].join(' '))),
  },
  script: { heading: 'SCRIPT', value: ({ script }) => script },
  args: { heading: 'ARGS', value: ({ args }) => (args?.length ? cut(args.map(quoted).join(' ')) : null) },
  commit: {
    heading: 'COMMIT',
    value: ({ gitCommit, gitDirty }) => gitCommit && `${gitCommit.slice(0, 10)}${gitDirty ? '+' : ''}`,
  },
  name: { heading: 'NAME', value: ({ name }) => name && cut(name) },
  note: { heading: 'NOTE', value: ({ note }) => note && cut(note) },
  by: { heading: 'BY', value: ({ startedBy }) => startedBy },
  cost: { heading: 'COST', value: ({ costUsd }) => (costUsd === null ? null : `$${costUsd.toFixed(3)}`) },
} as const satisfies Record<string, Column>;
export type ColumnName = keyof typeof COLUMNS;

export const COLUMN_NAMES = Object.keys(COLUMNS) as ColumnName[];

/** Of a list of one project, and of all. Names are shown when a run has one. */
export function defaultColumns(allProjects: boolean, runs: readonly RunSummary[]): ColumnName[] {
  return [
    'run',
    ...(runs.some(({ name }) => name !== null) ? (['name'] as const) : []),
    ...(allProjects ? (['project'] as const) : []),
    'state',
    'started',
    'training',
    'command',
    'commit',
    'by',
  ];
}

export function printRuns(
  terminal: Terminal,
  runs: readonly RunSummary[],
  names: readonly ColumnName[],
  now: number,
): void {
  const columns: Column[] = names.map((name) => COLUMNS[name]);
  terminal.table(
    columns.map(({ heading }) => heading),
    runs.map((run) => columns.map(({ value }) => value(run, now, terminal) ?? '-')),
  );
}

function secondsOf(seconds: number | null): string | null {
  return seconds === null || seconds === 0 ? null : formatDuration(seconds);
}

/** An argument as one types it into a shell, where `$` and `!` mean themselves; one with control characters as JSON. */
export function quoted(arg: string): string {
  if (/^[\w./:=,@%+-]+$/.test(arg)) return arg;
  return /\p{Cc}/u.test(arg) ? JSON.stringify(arg) : `'${arg.replaceAll("'", String.raw`'\''`)}'`;
}

function cut(text: string): string {
  return text.length <= CUT_AT ? text : `${text.slice(0, CUT_AT - 1)}…`;
}
