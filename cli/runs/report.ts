import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import type { Execution } from '../../aws/executions.ts';
import { isRunning } from '../../aws/executions.ts';
import type { LatestValue } from '../../core/metrics/latest.ts';
import { type JobName, RUN_MACHINE, WATCH_MACHINE } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { reconstructRun } from '../../core/outcome/reconstruct-run.ts';
import type { JobProgress } from '../../core/protocol/answers.ts';
import type { JobSnapshot, RunFacts } from '../../core/workflow/data.ts';
import type { RunEnding } from '../../core/workflow/run-ending.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';
import { JobLog } from '../logs/job-log.ts';
import { LineAssembler } from '../logs/line-assembler.ts';
import type { Found } from '../project/project.ts';
import type { Run, Runs } from './find.ts';
import { describeState, endingOf, projectOf, requestedInstance, summaryOf } from './summary.ts';

/** The last lines may be blank. */
const LAST_LINES = 5;
/** What stop-run does after an execution has been stopped ends within this time, ms; so long a missing manifest is awaited. */
export const CONCLUDED_WITHIN_MS = 20 * 60_000;

/** Everything that is known about a run. Times in epoch milliseconds. */
export interface RunReport {
  readonly id: string;
  readonly arn: string;
  /** What it does; null: it has ended, and its manifest is written. */
  readonly state: string | null;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly project: Found<string> | null;
  /** `asked`: what the run requested; `from`: where that comes from. */
  readonly instance: {
    readonly id: string | null;
    readonly type: string | null;
    readonly asked: string;
    readonly from: string;
  } | null;
  readonly script: string | null;
  readonly pid: number | null;
  readonly install: JobProgress | null;
  readonly queue: Queue | null;
  /** Epoch seconds since when the instance has not answered; null when it does. */
  readonly silentSince: number | null;
  /** The job that ran last. */
  readonly job: JobName | null;
  readonly lastLine: string | null;
  /** The latest values of the metrics that the log of the training reports. */
  readonly metrics: readonly LatestValue[];
  readonly ending: RunEnding | null;
  readonly warnings: readonly string[];
  readonly manifest: Manifest | null;
}

/** Times in epoch seconds. */
export interface Queue {
  /** 1 is next. */
  readonly place: number | null;
  readonly length: number | null;
  readonly since: number | null;
  readonly holder: { readonly run: string; readonly since: number } | null;
}

interface Sources {
  readonly runs: Runs;
  readonly logs: Pick<CloudWatchLogsClient, 'send'>;
  readonly logGroup: string;
}

/** Reads what AWS knows about a run, without a request to the instance. */
export async function reportOn(sources: Sources, run: Run): Promise<RunReport> {
  const report = run.execution === null ? ofManifest(run.manifest) : await ofExecution(sources.runs, run.execution);
  const { job } = report;
  return { ...report, lastLine: job && (await lastLine(sources, run.id, job)) };
}

async function ofExecution(runs: Runs, execution: Execution): Promise<RunReport> {
  const { executions, store, machine } = runs;
  const isOver = !isRunning(execution);
  const [{ facts }, state, manifest] = await Promise.all([
    reconstructRun(executions, execution, machine.replace(RUN_MACHINE, WATCH_MACHINE)),
    isOver ? null : executions.lastState(execution.arn),
    isOver ? manifestOf(store, execution) : null,
  ]);
  const instance = requestedInstance(execution, facts.spec);
  const ending = endingOf(execution);
  return {
    id: execution.name,
    arn: execution.arn,
    state: stateOf(execution, state, facts, manifest),
    startedAt: execution.startedAt,
    endedAt: execution.endedAt,
    project: projectOf(execution, facts.spec),
    instance: instance && {
      id: facts.instance?.id ?? null,
      type: facts.instance?.type ?? null,
      asked: instance.value,
      from: instance.from,
    },
    script: facts.spec?.script ?? null,
    pid: facts.train?.pid ?? null,
    install: facts.install?.progress ?? null,
    queue: queueOf(facts),
    silentSince: newest(facts)?.silentSince ?? null,
    job: newest(facts)?.job ?? null,
    lastLine: null,
    metrics: facts.train?.metrics?.values ?? [],
    ending: manifest ? endingIn(manifest) : ending,
    warnings: manifest?.warnings ?? ending?.warnings ?? facts.warnings,
    manifest,
  };
}

function ofManifest(manifest: Manifest): RunReport {
  const { id, arn, project, startedAt, endedAt, script } = summaryOf(manifest);
  const asked = typeof manifest.spec?.instance === 'string' ? manifest.spec.instance : '';
  const { sync, install, train } = manifest.jobs;
  return {
    id,
    arn,
    state: null,
    startedAt,
    endedAt,
    project: project === null ? null : { value: project, from: 'the manifest' },
    instance: manifest.instance && {
      id: manifest.instance.id,
      type: manifest.instance.type,
      asked,
      from: 'the manifest',
    },
    script,
    pid: manifest.pid,
    install: null,
    queue: null,
    silentSince: null,
    job: train ? 'train' : install ? 'install' : sync ? 'sync' : null,
    lastLine: null,
    metrics: [],
    ending: endingIn(manifest),
    warnings: manifest.warnings,
    manifest,
  };
}

/** A name comes back after 90 days: then the manifest may be an older run's. */
async function manifestOf(store: Runs['store'], { name, startedAt }: Execution): Promise<Manifest | null> {
  const manifest = await store.manifest(name);
  return manifest !== null && Date.parse(manifest.run.startedAt) === startedAt ? manifest : null;
}

function stateOf(
  execution: Execution,
  state: string | null,
  { sync, install, train }: RunFacts,
  manifest: Manifest | null,
): string | null {
  if (isRunning(execution)) {
    const waits = state === RUN_STATES.sync && sync?.state === 'busy' && !install && !train;
    return describeState(waits ? RUN_STATES.queue : state);
  }
  const isRecent = Date.now() - (execution.endedAt ?? 0) < CONCLUDED_WITHIN_MS;
  return manifest === null && isRecent ? 'stopping: outputs and logs are being saved' : null;
}

function newest({ sync, install, train }: RunFacts): JobSnapshot | null {
  return train ?? install ?? sync;
}

function queueOf({ sync, install, train }: RunFacts): Queue | null {
  if (sync?.state !== 'busy' || install || train) return null;
  return {
    place: sync.queue?.place ?? null,
    length: sync.queue?.length ?? null,
    since: sync.waiting?.since ?? sync.queue?.since ?? null,
    holder: sync.holder && { run: sync.holder.run, since: sync.holder.since },
  };
}

function endingIn({ outcome, message, next, exitCode, signal, lastLines, warnings }: Manifest): RunEnding {
  return { outcome, message, next, exitCode, signal, lastLines, warnings };
}

async function lastLine({ logs, logGroup }: Sources, runId: string, job: JobName): Promise<string | null> {
  const log = new JobLog(logs, { group: logGroup, runId, job });
  const lines = new LineAssembler();
  const found = (await log.recent(LAST_LINES)).flatMap(({ text }) => lines.push(text));
  return [...found, ...lines.end()].findLast((line) => line.trim() !== '') ?? null;
}
