import { type Execution, type Executions, isRunning, type ListedExecution } from '../../aws/executions.ts';
import type { Outcome } from '../../core/errors.ts';
import { headlinesIn } from '../../core/metrics/headline.ts';
import type { LatestValue } from '../../core/metrics/latest.ts';
import { parseArchiveUri, projectFolder, UPLOAD_PREFIX } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { entryText } from '../../core/spec/entry.ts';
import { maskSpec } from '../../core/spec/mask.ts';
import type { JobSnapshot, RunFacts, VerifyOutput } from '../../core/workflow/data.ts';
import { readRun, type StateEvent, type StateTime, stateTimes } from '../../core/workflow/history.ts';
import { type RunEnding, readEnding } from '../../core/workflow/run-ending.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';
import { phaseOf, type RunPhase, type RunWord } from '../../core/workflow/vocabulary.ts';
import type { RunOutput } from '../output/schemas.ts';
import type { Found } from '../project/project.ts';
import { isoTime } from '../terminal/times.ts';
import { costUntilNow } from './run-cost.ts';
import type { RunStore } from './store.ts';

/** What stop-run does after an execution has been stopped ends within this time, ms; so long a missing manifest is awaited. */
const SAVED_WITHIN_MS = 20 * 60_000;

/** A run in a list, as --json prints it, with its times in epoch milliseconds. */
export interface RunSummary extends Omit<RunOutput, 'startedAt' | 'endedAt' | 'seconds' | 'metrics'> {
  /** The latest values of the training. Of a run that lasts: empty, see {@link latestMetrics}. */
  readonly metrics: readonly LatestValue[];
  /** The headline metrics of its spec. */
  readonly headlines: readonly string[];
  readonly startedAt: number;
  readonly endedAt: number | null;
}

type Reader = Pick<Executions, 'describe' | 'beginning' | 'lastState'>;
type Manifests = Pick<RunStore, 'manifest' | 'glanceAtManifest'>;
/** Manifests have 10 KB; with a list of thousands of outputs, megabytes. */
const GLANCE_BYTES = 256 * 1024;

/** At most three calls, however long the run has lasted. null: Step Functions has deleted it meanwhile. */
export async function summarize(
  executions: Reader,
  store: Manifests,
  listed: ListedExecution,
): Promise<RunSummary | null> {
  const [execution, beginning, state, saved] = await Promise.all([
    executions.describe(listed.arn),
    executions.beginning(listed.arn),
    isRunning(listed) ? executions.lastState(listed.arn) : null,
    isRunning(listed) ? NOTHING_SAVED : glanceAt(store, listed),
  ]);
  if (execution === null) return null;
  const { verified, instance, sync } = readRun(beginning);
  const spec = verified?.spec ?? null;
  const { isKept, manifest } = saved;
  const word = wordFor(execution, { state, sync, isKept, manifest });
  const times = manifest?.states ?? (isRunning(execution) ? timesSoFar(beginning, state, Date.now()) : []);
  return {
    id: execution.name,
    arn: execution.arn,
    project: projectOf(execution, spec)?.value ?? null,
    ...word,
    startedAt: execution.startedAt,
    endedAt: execution.endedAt,
    ...waitedAndTrained(times, word.state),
    ...(word.state === 'queued' ? { queueSeconds: queuedFor(beginning, Date.now()) } : {}),
    instance: instance?.id ?? spec?.instance ?? inputText(execution, 'instance'),
    script: entryOf(spec ?? inputOf(execution)),
    args: argsOf(spec ?? inputOf(execution)),
    gitCommit: verified?.archive.gitCommit ?? null,
    gitDirty: verified?.archive.gitDirty ?? null,
    ...labels(execution, spec),
    startedBy: startedBy(execution),
    costUsd: manifest?.cost.usd ?? null,
    instanceCostUsd: manifest
      ? (manifest.cost.instance?.usd ?? null)
      : isRunning(execution)
        ? costUntilNow(beginning, state, { run: verified?.run ?? null, instance, sync })
        : null,
    metrics: manifest === null ? [] : metricsIn(manifest),
    headlines: headlinesIn(manifest?.spec ?? spec ?? inputOf(execution)),
    isKept,
  };
}

const NOTHING_SAVED = { isKept: false, manifest: null };

/** A list is not refused because one manifest cannot be read. */
async function glanceAt(
  store: Manifests,
  run: ListedExecution,
): Promise<{ isKept: boolean; manifest: Manifest | null }> {
  try {
    const { exists, manifest } = await store.glanceAtManifest(run.name, GLANCE_BYTES);
    if (manifest !== null && !isOf(manifest, run)) return NOTHING_SAVED;
    return { isKept: exists, manifest };
  } catch {
    return NOTHING_SAVED;
  }
}

/** The summary of a run that Step Functions has deleted. */
export function summaryOf(manifest: Manifest): RunSummary {
  const text = (key: string) => {
    const value = manifest.spec?.[key];
    return typeof value === 'string' ? value : null;
  };
  return {
    id: manifest.run.id,
    arn: manifest.run.arn,
    project: text('project'),
    state: manifest.outcome,
    outcome: manifest.outcome,
    startedAt: Date.parse(manifest.run.startedAt),
    endedAt: Date.parse(manifest.run.endedAt),
    ...waitedAndTrained(manifest.states, manifest.outcome),
    instance: manifest.instance?.id ?? text('instance'),
    script: entryOf(manifest.spec ?? {}),
    args: argsOf(manifest.spec),
    gitCommit: manifest.archive?.gitCommit ?? null,
    gitDirty: manifest.archive?.gitDirty ?? null,
    name: text('name'),
    note: text('note'),
    startedBy: text('startedBy'),
    costUsd: manifest.cost.usd,
    instanceCostUsd: manifest.cost.instance?.usd ?? null,
    metrics: metricsIn(manifest),
    headlines: headlinesIn(manifest.spec),
    isKept: true,
  };
}

/** The latest values that a manifest has. */
export function metricsIn({ metrics }: Manifest): LatestValue[] {
  return metrics.map(({ gap, ...value }) => (gap === null ? value : { ...value, gap }));
}

/** What --json prints of it. @param now epoch milliseconds */
export function toRunOutput({ startedAt, endedAt, metrics, headlines: _, ...run }: RunSummary, now: number): RunOutput {
  return {
    ...run,
    metrics: metrics.map((value) => ({ ...value })),
    startedAt: new Date(startedAt).toISOString(),
    endedAt: isoTime(endedAt),
    seconds: Math.max(0, (endedAt ?? now) - startedAt) / 1_000,
  };
}

/** The manifest of an execution. */
export async function manifestOf(store: Pick<RunStore, 'manifest'>, run: ListedExecution): Promise<Manifest | null> {
  const manifest = await store.manifest(run.name);
  return manifest !== null && isOf(manifest, run) ? manifest : null;
}

/** A name comes back after 90 days: then the manifest may be an older run's. */
function isOf(manifest: Manifest, { startedAt }: ListedExecution): boolean {
  return Date.parse(manifest.run.startedAt) === startedAt;
}

/** The word for a run: what it does or, once everything of it is saved, its outcome. */
export function wordFor(
  execution: Execution,
  found: {
    /** The state that was entered last. */
    readonly state: string | null;
    readonly sync: RunFacts['sync'];
    readonly isKept: boolean;
    readonly manifest: Manifest | null;
  },
): { readonly state: RunWord; readonly outcome: Outcome | null } {
  const { state, sync, isKept, manifest } = found;
  if (isRunning(execution)) return { state: phaseIn(state, sync), outcome: null };
  const isRecent = Date.now() - (execution.endedAt ?? 0) < SAVED_WITHIN_MS;
  if (!isKept && isRecent && endedFromOutside(execution)) return { state: 'stopping', outcome: null };
  const outcome = manifest?.outcome ?? readEnding(execution).outcome;
  return { state: outcome, outcome };
}

/** Whether a listed run may be one that has not ended, or whose outputs are being saved. */
export function mayBeActive(listed: ListedExecution, now: number): boolean {
  return isRunning(listed) || (endedFromOutside(listed) && now - (listed.endedAt ?? 0) < SAVED_WITHIN_MS);
}

/** stop-run saves what is left of such an execution; any other has saved everything before its end. */
function endedFromOutside({ status }: ListedExecution): boolean {
  return status === 'ABORTED' || status === 'TIMED_OUT';
}

/** A run in the queue alternates between two states. */
function phaseIn(state: string | null, sync: JobSnapshot | null): RunPhase {
  return state === RUN_STATES.sync && sync?.state === 'busy' ? 'queued' : phaseOf(state);
}

/** Whether a run belongs to a project, by its input or by the output of Verify archive. At most two calls. */
export async function isOfProject(executions: Reader, listed: ListedExecution, project: string): Promise<boolean> {
  const execution = await executions.describe(listed.arn);
  if (execution === null) return false;
  const requested = inputText(execution, 'project');
  if (requested !== null) return requested === project;
  const { verified } = readRun(await executions.beginning(listed.arn));
  return projectOf(execution, verified?.spec ?? null)?.value === project;
}

/** The project of a run, and where its name comes from. null: the archive was refused and is not in a project's folder. */
export function projectOf(execution: Execution, spec: VerifyOutput['spec'] | null): Found<string> | null {
  const requested = inputText(execution, 'project');
  if (requested !== null) return { value: requested, from: "the execution's input" };
  const folder = uploadFolder(execution);
  const project = spec?.project ?? folder;
  if (project === null) return null;
  return { value: project, from: project === folder ? 'the folder under uploads/' : 'the archive' };
}

/** The instance that a run requested, and where that comes from. */
export function requestedInstance(execution: Execution, spec: VerifyOutput['spec'] | null): Found<string> | null {
  const requested = inputText(execution, 'instance');
  if (requested !== null) return { value: requested, from: "the execution's input" };
  if (spec === null) return null;
  const { instance, project } = spec;
  const isDefault = instance === `tag:Project=${project}`;
  return { value: instance, from: isDefault ? 'the project' : "runctl.yaml or the upload's metadata" };
}

/** Who or what started a run, as its input says. */
export function startedBy(execution: Execution): string | null {
  const recorded = inputText(execution, 'startedBy');
  return recorded ?? (isUpload(execution) ? 'an upload' : null);
}

/** The name and the note of a run: before its spec was read, as its input has them. */
export function labels(execution: Execution, spec: VerifyOutput['spec'] | null) {
  return {
    name: spec?.name ?? inputText(execution, 'name'),
    note: spec?.note ?? inputText(execution, 'note'),
  };
}

export function argsOf(spec: unknown): string[] | null {
  const { args } = Object(maskSpec(spec)) as { args?: unknown };
  return Array.isArray(args) ? args.map(String) : null;
}

/** How long a run has waited for its instance, and trained, in seconds. */
export function waitedAndTrained(times: readonly StateTime[], word: RunWord) {
  const secondsIn = (...names: string[]) => {
    const entered = times.filter(({ name }) => names.includes(name));
    return entered.length === 0 ? null : entered.reduce((sum, { seconds }) => sum + seconds, 0);
  };
  const trained = secondsIn(RUN_STATES.confirm, RUN_STATES.watchTraining);
  return {
    queueSeconds: secondsIn(RUN_STATES.queue) ?? (times.length === 0 ? null : 0),
    // The history of a run that has waited for long does not begin with its training.
    trainingSeconds: trained ?? (word === 'training' ? null : times.length === 0 ? null : 0),
  };
}

/** Empty when the run is further than what is known of its history: the times since are not known then. */
function timesSoFar(beginning: readonly StateEvent[], state: string | null, now: number): StateTime[] {
  const last = beginning.findLast(({ kind, state: name }) => kind === 'entered' && !name.endsWith('?'));
  return last?.state === state ? stateTimes(beginning, now) : [];
}

/** Seconds since the instance was found to be busy. */
function queuedFor(beginning: readonly StateEvent[], now: number): number | null {
  const refused = beginning.find(({ kind, state }) => kind === 'exited' && state === RUN_STATES.sync);
  return refused ? Math.max(0, now - refused.at) / 1_000 : null;
}

function uploadFolder(execution: Execution): string | null {
  const location = parseArchiveUri(inputText(execution, 'archive') ?? '');
  return location && projectFolder(location.key);
}

function isUpload(execution: Execution): boolean {
  return parseArchiveUri(inputText(execution, 'archive') ?? '')?.key.startsWith(UPLOAD_PREFIX) === true;
}

/** What a spec says to start, whoever wrote it. */
export function entryOf(spec: Readonly<object>): string | null {
  const { script, module, command } = maskSpec(spec) as Readonly<Record<string, unknown>>;
  const text = (value: unknown) => (typeof value === 'string' ? value : null);
  const words = Array.isArray(command) ? command.map(String) : null;
  return entryText({ script: text(script), module: text(module), command: words });
}

function inputText(
  execution: Execution,
  key: 'project' | 'instance' | 'archive' | 'startedBy' | 'name' | 'note',
): string | null {
  const value = inputOf(execution)[key];
  return typeof value === 'string' ? value : null;
}

/** Empty for a text that is not JSON: anybody may start an execution with any input. */
function inputOf({ input }: Execution): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(input ?? '{}')) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** How an execution ended; null while it runs. */
export function endingOf(execution: Execution): RunEnding | null {
  return isRunning(execution) ? null : readEnding(execution);
}
