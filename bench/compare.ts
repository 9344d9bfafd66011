import { cpus, loadavg, totalmem } from 'node:os';
import * as z from 'zod';
import { format, type Row, reached, type Section } from './report.ts';

/** A smaller relative change is noise. */
const NOISE = 0.1;
const HIGHER_IS_BETTER = ['MB/s'];

const row = z.looseObject({
  name: z.string(),
  value: z.number().nullable(),
  unit: z.enum(['ms', 's', 'bytes', 'MB/s', 'MB', 'x', '$', '']),
  target: z.object({ is: z.enum(['most', 'least']), value: z.number() }).nullable(),
});
const schema = z.looseObject({
  at: z.string(),
  node: z.string(),
  cpus: z.number(),
  cpu: z.string().nullable(),
  memoryMb: z.number(),
  load: z.number(),
  sections: z.array(z.looseObject({ title: z.string(), rows: z.array(row) })),
});

/** The output of `--json`. */
export type Results = Machine & { readonly sections: readonly Section[] };

interface Machine {
  /** ISO 8601. */
  readonly at: string;
  readonly node: string;
  readonly cpus: number;
  readonly cpu: string | null;
  readonly memoryMb: number;
  /** The load average of the last minute. */
  readonly load: number;
}

export function thisMachine(): Machine {
  return {
    at: new Date().toISOString(),
    node: process.version,
    cpus: cpus().length,
    cpu: cpus()[0]?.model ?? null,
    memoryMb: Math.round(totalmem() / 1e6),
    load: loadavg()[0] ?? 0,
  };
}

/** A warning if other work affects the numbers, or null. */
export function busyWarning({ at, cpus, load }: Machine): string | null {
  if (load < cpus / 2) return null;
  return `The machine was busy at ${at}: ${load.toFixed(1)} processes on ${cpus} processors. Numbers of speed say little.`;
}

/** @throws with the position in the file that does not match the output of `--json` */
export function parseResults(text: string, file: string): Results {
  try {
    return schema.parse(JSON.parse(text)) as Results;
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new Error(`${file} is not an output of npm run bench -- --json: ${why}`);
  }
}

/** Compares two results, number by number, as lines for a person. */
export function compare(before: Results, after: Results): string[] {
  const busy = [before, after].flatMap((one) => busyWarning(one) ?? []);
  const lines = [`Before: ${before.at}. After: ${after.at}.`, ...busy];
  for (const key of ['cpu', 'cpus', 'memoryMb', 'node'] as const) {
    if (before[key] !== after[key]) lines.push(`Not the same machine: ${key} ${before[key]}, then ${after[key]}.`);
  }
  const old = new Map(before.sections.flatMap(({ title, rows }) => rows.map((one) => [`${title}\n${one.name}`, one])));
  for (const { title, rows } of after.sections) {
    const cells = rows.flatMap((now) => {
      const was = old.get(`${title}\n${now.name}`);
      return was === undefined ? [] : [[now.name, format(was.value, was), format(now.value, now), verdict(was, now)]];
    });
    if (cells.length > 0) lines.push('', title, ...table(cells));
  }
  const only = [...without(before, after, 'only before'), ...without(after, before, 'only after')];
  return only.length > 0 ? [...lines, '', ...only] : lines;
}

/** The rows that the other result lacks; a whole section is listed by its title. */
function without({ sections }: Results, other: Results, label: string): string[] {
  return sections.flatMap(({ title, rows }) => {
    const there = other.sections.find((section) => section.title === title);
    if (there === undefined) return [`  ${label}: ${title}`];
    const missing = rows.filter(({ name }) => !there.rows.some((one) => one.name === name));
    return missing.map(({ name }) => `  ${label}: ${title}: ${name}`);
  });
}

function verdict(was: Row, now: Row): string {
  if (reached(was) === true && reached(now) === false) return 'TARGET NOW MISSED';
  if (was.value === null || now.value === null || was.value === now.value) return '';
  const target = reached(was) === false && reached(now) === true ? ', target now reached' : '';
  if (was.value === 0) return `changed${target}`;
  const share = now.value / was.value - 1;
  const percent = `${share > 0 ? '+' : ''}${(share * 100).toFixed(0)} %`;
  if (Math.abs(share) < NOISE) return `${percent}${target}`;
  const wantsMore = now.target ? now.target.is === 'least' : HIGHER_IS_BETTER.includes(now.unit);
  return `${percent}, ${share > 0 === wantsMore ? 'better' : 'worse'}${target}`;
}

function table(cells: readonly string[][]): string[] {
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  return cells.map(([name = '', was = '', now = '', verdict = '']) =>
    `  ${name.padEnd(widths[0] ?? 0)}  ${was.padStart(widths[1] ?? 0)} -> ${now.padEnd(widths[2] ?? 0)}  ${verdict}`.trimEnd(),
  );
}
