import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import type { Execution } from '../../aws/executions.ts';
import { isRunning } from '../../aws/executions.ts';
import { costOfRun, heldSeconds } from '../../core/cost/instance-cost.ts';
import { trainingLimit } from '../../core/cost/limit.ts';
import type { ErrorName, Outcome } from '../../core/errors.ts';
import { headlinesIn } from '../../core/metrics/headline.ts';
import type { JobName } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import type { JobProgress, UsageSample } from '../../core/protocol/answers.ts';
import type { CheckpointProgress, EndedAttempt, JobSnapshot, RunFacts } from '../../core/workflow/data.ts';
import { type StateEvent, stateTimes } from '../../core/workflow/history.ts';
import { errorNamed, type RunEnding } from '../../core/workflow/run-ending.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';
import { JobLog, type LogMessage } from '../logs/job-log.ts';
import { LineAssembler } from '../logs/line-assembler.ts';
import type { Run, Runs } from './find.ts';
import { reconstruct } from './reconstruct.ts';
import { costSoFar } from './run-cost.ts';
import {
  argsOf,
  endingOf,
  entryOf,
  labels,
  manifestOf,
  metricsIn,
  projectOf,
  type RunSummary,
  requestedInstance,
  startedBy,
  summaryOf,
  waitedAndTrained,
  wordFor,
} from './summary.ts';

/** The last lines may be blank. */
const LAST_LINES = 5;
/** Everything that is known about a run. Times in epoch milliseconds. */
export interface RunReport extends RunSummary {
  readonly projectFrom: string | null;
  readonly instanceType: string | null;
  readonly instanceRequested: string | null;
  readonly instanceFrom: string | null;
  readonly pid: number | null;
  readonly install: JobProgress | null;
  readonly queue: Queue | null;
  /** Epoch seconds since when the instance has not answered; null when it does. */
  readonly silentSince: number | null;
  /** The attempt that is under way, or the last one. */
  readonly attempt: number;
  /** The attempts before it. */
  readonly attempts: readonly Pick<EndedAttempt, 'attempt' | 'outcome' | 'message' | 'seconds'>[];
  /** The job that ran last. */
  readonly job: JobName | null;
  readonly lastLine: LogMessage | null;
  /** The latest sample of what the training uses. */
  readonly usage: UsageSample | null;
  /** What is known of the training's checkpoints in S3. */
  readonly checkpoints: CheckpointProgress | null;
  /** When maxDuration or maxCost ends the training. */
  readonly endsBy: number | null;
  /** maxCost ends it. */
  readonly endsByCost: boolean;
  readonly ending: (RunEnding & { readonly error: ErrorName | null }) | null;
  readonly warnings: readonly string[];
  /** As Verify archive resolved it; null: not yet. */
  readonly spec: Readonly<object> | null;
  readonly manifest: Manifest | null;
  /** Estimate for runctl itself, without the instance, until now or until the end; null: not known. */
  readonly costSoFarUsd: number | null;
  /** Of the instance, until now or until the end; null: not known. */
  readonly instanceCost: Manifest['cost']['instance'];
}

/** Times in epoch seconds. */
export interface Queue {
  /** 1 is next. */
  readonly place: number | null;
  readonly length: number | null;
  readonly since: number | null;
  readonly holder: { readonly run: string; readonly since: number } | null;
}

export interface ReportSources {
  readonly runs: Runs;
  readonly logs: Pick<CloudWatchLogsClient, 'send'>;
  readonly logGroup: string;
}

/** Reads what AWS knows about a run, without a request to the instance. */
export async function reportOn(sources: ReportSources, run: Run): Promise<RunReport> {
  const report = run.execution === null ? ofManifest(run.manifest) : await ofExecution(sources.runs, run.execution);
  const { job } = report;
  return { ...report, lastLine: job && (await lastLine(sources, run.id, job, report.attempt)) };
}

async function ofExecution(runs: Runs, execution: Execution): Promise<RunReport> {
  const { executions, store } = runs;
  const isOver = !isRunning(execution);
  const [{ facts, events }, state, manifest] = await Promise.all([
    reconstruct(runs, execution),
    isOver ? null : executions.lastState(execution.arn),
    isOver ? manifestOf(store, execution) : null,
  ]);
  const states = stateTimes(events, execution.endedAt ?? Date.now());
  const { spec, archive, train, install } = facts;
  // An ended run without a manifest has none.
  const spent = manifest ? manifest.cost.instance : isOver ? null : costOfRun(facts, heldSeconds(events, Date.now()));
  const instance = requestedInstance(execution, spec);
  const project = projectOf(execution, spec);
  const word = wordFor(execution, {
    state,
    sync: install || train ? null : facts.sync,
    isKept: manifest !== null,
    manifest,
  });
  return {
    id: execution.name,
    arn: execution.arn,
    project: project?.value ?? null,
    projectFrom: project?.from ?? null,
    ...word,
    startedAt: execution.startedAt,
    endedAt: execution.endedAt,
    ...waitedAndTrained(manifest?.states ?? states, word.state),
    instance: facts.instance?.id ?? instance?.value ?? null,
    instanceType: facts.instance?.type ?? null,
    instanceRequested: instance?.value ?? null,
    instanceFrom: instance?.from ?? null,
    script: spec === null ? null : entryOf(spec),
    args: argsOf(spec),
    gitCommit: archive?.gitCommit ?? null,
    gitDirty: archive?.gitDirty ?? null,
    ...labels(execution, spec),
    startedBy: startedBy(execution),
    costUsd: manifest?.cost.usd ?? null,
    instanceCostUsd: spent?.usd ?? null,
    instanceCost: spent,
    isKept: manifest !== null,
    pid: train?.pid ?? null,
    install: install?.progress ?? null,
    queue: isOver ? null : queueOf(facts),
    silentSince: isOver ? null : (newest(facts)?.silentSince ?? null),
    attempt: facts.run?.attempt ?? 1,
    attempts: facts.attempts ?? [],
    job: newest(facts)?.job ?? null,
    lastLine: null,
    metrics: train?.metrics?.values ?? (manifest ? metricsIn(manifest) : []),
    headlines: headlinesIn(spec ?? manifest?.spec),
    usage: train?.usage ?? null,
    checkpoints: train?.checkpoints ?? null,
    endsBy: word.state === 'training' ? endOfTraining(events, facts) : null,
    endsByCost: train?.costCap !== undefined,
    spec: spec ?? manifest?.spec ?? null,
    ending: manifest ? endingIn(manifest) : endedWith(execution),
    warnings: manifest?.warnings ?? endingOf(execution)?.warnings ?? [...facts.warnings, ...warningsOf(train)],
    manifest,
    costSoFarUsd: manifest?.cost.usd ?? costSoFar(facts, states),
  };
}

function ofManifest(manifest: Manifest): RunReport {
  const { sync, install, restore, train } = manifest.jobs;
  return {
    ...summaryOf(manifest),
    projectFrom: 'the manifest',
    instanceType: manifest.instance?.type ?? null,
    instanceRequested: typeof manifest.spec?.instance === 'string' ? manifest.spec.instance : null,
    instanceFrom: 'the manifest',
    pid: manifest.pid,
    install: null,
    queue: null,
    silentSince: null,
    attempt: manifest.attempts.at(-1)?.attempt ?? 1,
    attempts: manifest.attempts.slice(0, -1).map((one) => ({ ...one, outcome: one.outcome as Outcome })),
    job: train ? 'train' : restore ? 'restore' : install ? 'install' : sync ? 'sync' : null,
    lastLine: null,
    usage: null,
    checkpoints: null,
    endsBy: null,
    endsByCost: false,
    ending: endingIn(manifest),
    warnings: manifest.warnings,
    spec: manifest.spec,
    manifest,
    costSoFarUsd: manifest.cost.usd,
    instanceCost: manifest.cost.instance,
  };
}

/** The supervisor counts its limit from the start of the process, which is before this state was left. Epoch ms. */
function endOfTraining(events: readonly StateEvent[], { spec, run, train }: RunFacts): number | null {
  const began = events.findLast(({ kind, state }) => kind === 'exited' && state === RUN_STATES.start);
  if (began === undefined || spec === null) return null;
  return began.at + (train?.costCap?.seconds ?? trainingLimit(spec, run)) * 1_000;
}

/** The manifest of an ended run has them among its warnings. */
function warningsOf(train: JobSnapshot | null): readonly string[] {
  return [...(train?.usage?.warning ? [train.usage.warning] : []), ...(train?.checkpoints?.warnings ?? [])];
}

function newest({ sync, install, restore, train }: RunFacts): JobSnapshot | null {
  return train ?? restore ?? install ?? sync;
}

function queueOf({ sync, install, restore, train }: RunFacts): Queue | null {
  if (sync?.state !== 'busy' || install || restore || train) return null;
  return {
    place: sync.queue?.place ?? null,
    length: sync.queue?.length ?? null,
    since: sync.waiting?.since ?? sync.queue?.since ?? null,
    holder: sync.holder && { run: sync.holder.run, since: sync.holder.since },
  };
}

function endingIn(manifest: Manifest): RunReport['ending'] {
  const { outcome, message, next, exitCode, signal, lastLines, warnings, error } = manifest;
  return {
    outcome,
    message,
    next,
    exitCode,
    signal,
    lastLines,
    warnings,
    error: errorNamed(error),
  };
}

function endedWith(execution: Execution): RunReport['ending'] {
  const ending = endingOf(execution);
  return ending && { ...ending, error: errorNamed(execution.error) };
}

async function lastLine(
  { logs, logGroup }: ReportSources,
  runId: string,
  job: JobName,
  attempt: number,
): Promise<LogMessage | null> {
  const log = new JobLog(logs, { group: logGroup, runId, job, attempt });
  const lines = new LineAssembler();
  const messages = await log.recent(LAST_LINES);
  const found = messages.flatMap(({ text, at }) => lines.push(text).map((line) => ({ text: line, at })));
  const open = lines.end().map((line) => ({ text: line, at: messages.at(-1)?.at ?? 0 }));
  return [...found, ...open].findLast(({ text }) => text.trim() !== '') ?? null;
}
