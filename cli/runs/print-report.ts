import { costLine, maxCostOf } from '../../core/cost/cost-line.ts';
import { dollars } from '../../core/cost/price.ts';
import { byHeadline } from '../../core/metrics/headline.ts';
import type { LatestValue } from '../../core/metrics/latest.ts';
import type { JobProgress, UsageSample } from '../../core/protocol/answers.ts';
import { formatDuration, formatSize } from '../../core/units.ts';
import type { StatusOutput } from '../output/schemas.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { formatTime, isoTime } from '../terminal/times.ts';
import { colorWord } from '../terminal/word-color.ts';
import { queueText } from './activity.ts';
import { ageOf } from './checkpoints.ts';
import { quoted } from './columns.ts';
import { notCollected } from './not-collected.ts';
import type { Queue, RunReport } from './report.ts';
import { toRunOutput } from './summary.ts';

const LABEL_WIDTH = 10;
/** `runctl metrics` shows all. */
const METRICS_SHOWN = 4;
const GPUS_SHOWN = 8;
const ATTEMPTS_SHOWN = 5;

/** Prints the output of `runctl status`. @param now epoch milliseconds */
export function printReport(terminal: Terminal, report: RunReport, now: number): void {
  const { colors } = terminal;
  const { ending, project, script, args } = report;
  const row = (label: string, value: string | null) => {
    if (value !== null) terminal.print(`${colors.bold(label.padEnd(LABEL_WIDTH))}${value}`);
  };
  row('run', report.id);
  row('name', report.name);
  row('note', report.note);
  row('state', stateLine(terminal, report, now));
  if (ending) row('', ending.message);
  row('next', ending?.outcome === 'succeeded' ? null : (ending?.next ?? null));
  row('project', project && `${project} (from ${report.projectFrom})`);
  row('instance', instanceLine(report));
  row('script', script && [script, ...(args ?? []).map(quoted)].join(' '));
  row(
    'commit',
    report.gitCommit && `${report.gitCommit.slice(0, 10)}${report.gitDirty ? ' with uncommitted changes' : ''}`,
  );
  row('started', startedLine(report, now));
  row('training', trainingLine(report, now));
  row('attempt', report.attempt === 1 ? null : attemptsLine(report));
  row('PID', report.pid === null ? null : String(report.pid));
  if (!ending) {
    row('queue', report.queue && queueLine(report.queue, now));
    row('install', report.job === 'install' && report.install ? progressLine(report.install) : null);
    row('silent', report.silentSince === null ? null : silence(report.silentSince, now));
  }
  row('metrics', report.metrics.length === 0 ? null : metricsLine(byHeadline(report.metrics, report.headlines)));
  row('usage', ending || report.usage === null ? null : usageLine(report.usage));
  row('saved', savedLine(report, now));
  row('cost', costRow(report));
  row('last line', lastLine(report, now));
  row('others', report.manifest && notCollected(report.manifest));
  for (const warning of report.warnings) row('warning', colors.yellow(warning));
}

/** The same for scripts. */
export function reportJson(report: RunReport, now: number): StatusOutput {
  const {
    ending,
    queue,
    silentSince,
    lastLine,
    endsBy,
    manifest,
    checkpoints,
    attempts,
    costSoFarUsd: _,
    spec: __,
    endsByCost,
    instanceCost,
    ...rest
  } = report;
  const second = (time: number | null) => (time === null ? null : new Date(time * 1_000).toISOString());
  return {
    ...toRunOutput(rest, now),
    message: ending?.message ?? null,
    next: ending?.next ?? null,
    error: ending?.error ?? null,
    exitCode: ending?.exitCode ?? null,
    signal: ending?.signal ?? null,
    lastLines: [...(ending?.lastLines ?? [])],
    warnings: [...report.warnings],
    projectFrom: report.projectFrom,
    instanceType: report.instanceType,
    instanceRequested: report.instanceRequested,
    instanceFrom: report.instanceFrom,
    pid: report.pid,
    queue: queue && {
      place: queue.place,
      length: queue.length,
      since: second(queue.since),
      holder: queue.holder && { run: queue.holder.run, since: new Date(queue.holder.since * 1_000).toISOString() },
    },
    install: report.install,
    silentSince: second(silentSince),
    job: report.job,
    lastLine: lastLine?.text ?? null,
    lastLineAt: isoTime(lastLine?.at ?? null),
    usage: report.usage && usageJson(report.usage),
    checkpoint: checkpoints?.latest ? { ...checkpoints.latest } : null,
    attempt: report.attempt,
    attempts: attempts.map(({ attempt, outcome, message, seconds }) => ({ attempt, outcome, message, seconds })),
    instanceCost: instanceCost && { ...instanceCost },
    maxCostUsd: maxCostOf(report.spec),
    endsBy: isoTime(endsBy),
    endsByCost,
    manifest,
  };
}

/** `3, after 1: interrupted (2 h), 2: vanished (10 min)`. */
function attemptsLine({ attempt, attempts }: RunReport): string {
  const shown = attempts
    .slice(-ATTEMPTS_SHOWN)
    .map((one) => `${one.attempt}: ${one.outcome} (${formatDuration(one.seconds)})`);
  return `${attempt}, after ${shown.join(', ')}`;
}

/** The newest one in S3, and its age. */
function savedLine({ checkpoints, ending }: RunReport, now: number): string | null {
  const latest = checkpoints?.latest;
  if (latest) return `${latest.name}, ${formatSize(latest.bytes)}, sent to S3 ${ageOf(latest.committedAt, now)} ago`;
  return checkpoints?.uploading && !ending ? `${checkpoints.uploading.name} is being sent` : null;
}

function stateLine(terminal: Terminal, { state, ending, startedAt, endedAt }: RunReport, now: number): string {
  const lasted = formatDuration(((endedAt ?? now) - startedAt) / 1_000);
  const word = colorWord(terminal, state);
  if (ending === null) return `${word}, for ${lasted} in total`;
  const code = ending.exitCode === null ? '' : `, exit code ${ending.exitCode}`;
  return `${word}${code}, after ${lasted}`;
}

function instanceLine({ instance, instanceType, instanceRequested, instanceFrom }: RunReport): string | null {
  if (instance === null) return null;
  if (instanceType === null) return `${instance} (from ${instanceFrom}), not found yet`;
  const how = instance === instanceRequested ? `from ${instanceFrom}` : `${instanceRequested}, from ${instanceFrom}`;
  return `${instance} ${instanceType} (${how})`;
}

function startedLine({ startedAt, startedBy }: RunReport, now: number): string {
  const ago = `${formatTime(startedAt)}, ${formatDuration((now - startedAt) / 1_000)} ago`;
  return startedBy === null ? ago : `${ago}, by ${startedBy}`;
}

/** Of the instance, and of runctl itself: estimates. */
function costRow({ instanceCost, costSoFarUsd, spec }: RunReport): string | null {
  const line = costLine(instanceCost, maxCostOf(spec));
  return line === null || costSoFarUsd === null ? line : `${line}; runctl itself ${dollars(costSoFarUsd)}`;
}

/** How long it has trained and, while it does, how long it may go on. */
function trainingLine({ trainingSeconds, endsBy, endsByCost }: RunReport, now: number): string | null {
  if (!trainingSeconds && endsBy === null) return null;
  const trained = trainingSeconds === null ? 'since some time' : `for ${formatDuration(trainingSeconds)}`;
  return endsBy === null
    ? trained
    : `${trained}, ${formatDuration(Math.max(0, endsBy - now) / 1_000)} left of ${endsByCost ? 'maxCost' : 'maxDuration'}`;
}

/** Its age says whether a training hangs. */
function lastLine({ lastLine, ending }: RunReport, now: number): string | null {
  if (lastLine === null) return null;
  return ending ? lastLine.text : `${lastLine.text}  (${formatDuration(Math.max(0, now - lastLine.at) / 1_000)} ago)`;
}

function queueLine({ place, length, since, holder }: Queue, now: number): string {
  const waited = since === null ? '' : `, waiting for ${formatDuration(now / 1_000 - since)}`;
  return `${queueText({ queue: { place, length }, holder })}${waited}`;
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

/** `CPU 85 %, memory 12 of 64 GB, GPU 0 97 % 20 of 24 GB`. */
function usageLine({ cpuPercent, memoryUsedBytes, memoryTotalBytes, gpus }: UsageSample): string {
  const percent = (value: number | null) => (value === null ? 'not known' : `${Math.round(value)} %`);
  const memory = (used: number, total: number) => `${formatSize(used)} of ${formatSize(total)}`;
  const shown = gpus.slice(0, GPUS_SHOWN).map((gpu) => {
    const { memoryUsedBytes: used, memoryTotalBytes: total } = gpu;
    const room = used === null || total === null ? '' : ` (${memory(used, total)})`;
    return `GPU ${gpu.index} ${percent(gpu.utilizationPercent)}${room}`;
  });
  const more = gpus.length - shown.length;
  return [
    `CPU ${percent(cpuPercent)}`,
    `memory ${memory(memoryUsedBytes, memoryTotalBytes)}`,
    ...shown,
    ...(more > 0 ? [`${more} more GPUs`] : []),
  ].join(', ');
}

function usageJson({ time, warning: _, ...usage }: UsageSample): StatusOutput['usage'] {
  return {
    ...usage,
    time: new Date(time * 1_000).toISOString(),
    job: { ...usage.job },
    gpus: usage.gpus.map((gpu) => ({ ...gpu })),
  };
}

function metricsLine(metrics: readonly LatestValue[]): string {
  const shown = metrics
    .slice(0, METRICS_SHOWN)
    .map(({ name, step, value, gap }) => `${name} ${value ?? gap} (step ${step})`);
  const more = metrics.length - shown.length;
  return `${shown.join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}
