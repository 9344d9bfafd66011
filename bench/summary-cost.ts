import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { summaryCost } from '../core/outcome/cost.ts';
import { MAX_POINTS, SUMMARIZE_MEMORY_MIB, SUMMARIZE_S } from '../core/results/caps.ts';
import { timed } from './processes.ts';
import { atMost, type Row, type Section } from './report.ts';

/** A step every two seconds, with ten other lines. */
const AN_HOUR = { name: 'an hour', steps: 1_800, others: 10 };
const A_WEEK = { name: '7 days', steps: 302_400, others: 10 };
const A_MILLION = { name: 'a million points', steps: 333_334, others: 0 };
/** 1 GB: 80 bytes of a step, and 80 other lines of 75 bytes. */
const A_GIGABYTE = { name: '1 GB of log', steps: 164_000, others: 80 };
const DOLLARS_A_MILLION = 0.02;
const REPORT_BYTES = 500_000;

interface Measured {
  readonly bytes: number;
  readonly readBytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMb: number;
  readonly points: number;
  readonly metricsBytes: number;
  readonly reportBytes: number;
}

const dollars = (seconds: number) => summaryCost(seconds, SUMMARIZE_MEMORY_MIB);
const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** Measures what summarize-run takes for logs of different sizes, and computes what that costs. */
export async function benchSummary(work: string, say: (line: string) => void): Promise<Section> {
  const folder = join(work, 'summary');
  await mkdir(folder, { recursive: true });
  const child = fileURLToPath(new URL('summary-child.ts', import.meta.url));
  const run = async (...args: (string | number)[]): Promise<Measured> => {
    const { stdout } = await timed(process.execPath, ['--import', 'tsx', child, folder, ...args.map(String)]);
    return JSON.parse(stdout) as Measured;
  };
  const rows: Row[] = [];
  for (const { name, steps, others } of [AN_HOUR, A_WEEK, A_MILLION, A_GIGABYTE]) {
    say(`the summary of a run of ${name}`);
    const one = await run('log', steps, others);
    rows.push(...rowsOf(name, one, name === A_MILLION.name ? DOLLARS_A_MILLION : null));
  }
  const perSeries = MAX_POINTS / 64;
  say(`a report of 64 metrics of ${perSeries.toLocaleString('en-US')} points`);
  const { reportBytes, seconds, peakMb } = await run('report', perSeries);
  const note = `${seconds.toFixed(1)} s, peak ${peakMb} MB`;
  rows.push({
    name: '64 metrics of a million points: report.html',
    value: reportBytes,
    unit: 'bytes',
    target: atMost(REPORT_BYTES),
    note,
  });
  return {
    title: `Metrics, report and summary of a run that has ended (${SUMMARIZE_MEMORY_MIB} MiB; list prices of us-east-1)`,
    rows,
  };
}

function rowsOf(name: string, one: Measured, target: number | null): Row[] {
  const cut = one.readBytes < one.bytes ? `; only ${mb(one.readBytes)} were read` : '';
  const log = `log of ${mb(one.bytes)}, ${one.points.toLocaleString('en-US')} points${cut}`;
  return [
    {
      name: `${name}: cost`,
      value: dollars(one.seconds),
      unit: '$',
      target: target === null ? null : atMost(target),
      note: log,
    },
    {
      name: `${name}: time`,
      value: one.seconds,
      unit: 's',
      target: atMost(SUMMARIZE_S),
      note: `${one.cpuSeconds.toFixed(1)} s of processor`,
    },
    { name: `${name}: peak memory`, value: one.peakMb, unit: 'MB', target: atMost(SUMMARIZE_MEMORY_MIB) },
    { name: `${name}: metrics.jsonl.gz`, value: one.metricsBytes, unit: 'bytes', target: null },
    { name: `${name}: report.html`, value: one.reportBytes, unit: 'bytes', target: atMost(REPORT_BYTES) },
  ];
}
