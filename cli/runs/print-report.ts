import type { LatestValue } from '../../core/metrics/latest.ts';
import type { JobProgress } from '../../core/protocol/answers.ts';
import { formatDuration, formatSize } from '../../core/units.ts';
import { colorOutcome } from '../terminal/outcome-color.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { formatTime, isoTime } from '../terminal/times.ts';
import type { Queue, RunReport } from './report.ts';

const LABEL_WIDTH = 10;
/** `runctl metrics` shows all. */
const METRICS_SHOWN = 4;

/** Prints the output of `runctl status`. @param now epoch milliseconds */
export function printReport(terminal: Terminal, report: RunReport, now: number): void {
  const { colors } = terminal;
  const { ending, project, instance } = report;
  const row = (label: string, value: string | null) => {
    if (value !== null) terminal.print(`${colors.bold(label.padEnd(LABEL_WIDTH))}${value}`);
  };
  row('run', report.id);
  row('state', stateLine(terminal, report, now));
  if (ending) row('', ending.message);
  row('next', ending?.outcome === 'succeeded' ? null : (ending?.next ?? null));
  row('project', project && `${project.value} (from ${project.from})`);
  row('instance', instance && instanceLine(instance));
  row('script', report.script);
  row('started', `${formatTime(report.startedAt)}, ${formatDuration((now - report.startedAt) / 1_000)} ago`);
  row('PID', report.pid === null ? null : String(report.pid));
  if (!ending) {
    row('queue', report.queue && queueLine(report.queue, now));
    row('install', report.job === 'install' && report.install ? progressLine(report.install) : null);
    row('silent', report.silentSince === null ? null : silence(report.silentSince, now));
  }
  row('metrics', report.metrics.length === 0 ? null : metricsLine(report.metrics));
  row('last line', report.lastLine);
  for (const warning of report.warnings) row('warning', colors.yellow(warning));
}

/** The same for scripts. */
export function reportJson({ startedAt, endedAt, project, manifest, ...report }: RunReport, now: number) {
  return {
    ...report,
    project: project && { name: project.value, from: project.from },
    startedAt: isoTime(startedAt),
    endedAt: isoTime(endedAt),
    seconds: ((endedAt ?? now) - startedAt) / 1_000,
    isKept: manifest !== null,
  };
}

function stateLine(terminal: Terminal, { state, ending, startedAt, endedAt }: RunReport, now: number): string {
  const lasted = formatDuration(((endedAt ?? now) - startedAt) / 1_000);
  if (ending === null) return `${terminal.colors.cyan(state ?? 'running')}, for ${lasted} in total`;
  const code = ending.exitCode === null ? '' : `, exit code ${ending.exitCode}`;
  return `${colorOutcome(terminal, ending.outcome)}${code}, after ${lasted}${state === null ? '' : ` (${state})`}`;
}

function instanceLine({ id, type, asked, from }: NonNullable<RunReport['instance']>): string {
  if (id === null) return `${asked} (from ${from}), not found yet`;
  const how = id === asked ? `from ${from}` : `${asked}, from ${from}`;
  return `${id}${type === null ? '' : ` ${type}`} (${how})`;
}

function queueLine({ place, length, since, holder }: Queue, now: number): string {
  const where = place === null ? 'no position yet' : `position ${place}${length === null ? '' : ` of ${length}`}`;
  const waited = since === null ? '' : `, waiting for ${formatDuration(now / 1_000 - since)}`;
  const held = holder
    ? `run ${holder.run} has held the instance since ${formatTime(holder.since * 1_000)}`
    : 'the instance is free, but other runs come first';
  return `${where}${waited}; ${held}`;
}

export function progressLine({ phase, done, total, bytes, elapsed, current }: JobProgress): string {
  return [
    phase,
    done === null ? null : `${done}${total === null ? '' : ` of ${total}`}`,
    bytes === null ? null : formatSize(bytes),
    current,
    elapsed === null ? null : `for ${formatDuration(elapsed)}`,
  ]
    .filter((part) => part !== null)
    .join(', ');
}

function silence(since: number, now: number): string {
  return `the instance has not answered for ${formatDuration(now / 1_000 - since)}`;
}

function metricsLine(metrics: readonly LatestValue[]): string {
  const shown = metrics
    .slice(0, METRICS_SHOWN)
    .map(({ name, step, value, gap }) => `${name} ${value ?? gap} (step ${step})`);
  const more = metrics.length - shown.length;
  return `${shown.join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}
