import { type Execution, type Executions, isRunning, type ListedExecution } from '../../aws/executions.ts';
import type { Outcome } from '../../core/errors.ts';
import { parseArchiveUri, projectFolder } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import type { VerifyOutput } from '../../core/workflow/data.ts';
import { readRun } from '../../core/workflow/history.ts';
import { type RunEnding, readEnding } from '../../core/workflow/run-ending.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';
import type { Found } from '../project/project.ts';

/** A run in a list. Times in epoch milliseconds. */
export interface RunSummary {
  readonly id: string;
  readonly arn: string;
  readonly project: string | null;
  /** What it does; null: it has ended. */
  readonly state: string | null;
  /** null: it has not ended. */
  readonly outcome: Outcome | null;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly instance: string | null;
  readonly script: string | null;
}

type Reader = Pick<Executions, 'describe' | 'beginning' | 'lastState'>;

/** At most three calls, however long the run has lasted. null: Step Functions has deleted it meanwhile. */
export async function summarize(executions: Reader, listed: ListedExecution): Promise<RunSummary | null> {
  const [execution, beginning, state] = await Promise.all([
    executions.describe(listed.arn),
    executions.beginning(listed.arn),
    isRunning(listed) ? executions.lastState(listed.arn) : null,
  ]);
  if (execution === null) return null;
  const { verified, instance } = readRun(beginning);
  const spec = verified?.spec ?? null;
  return {
    id: execution.name,
    arn: execution.arn,
    project: projectOf(execution, spec)?.value ?? null,
    state: isRunning(execution) ? describeState(state) : null,
    outcome: endingOf(execution)?.outcome ?? null,
    startedAt: execution.startedAt,
    endedAt: execution.endedAt,
    instance: instance?.id ?? spec?.instance ?? inputValue(execution, 'instance'),
    script: spec?.script ?? inputValue(execution, 'script'),
  };
}

/** Whether a run belongs to a project, by its input or by the output of Verify archive. At most two calls. */
export async function isOfProject(executions: Reader, listed: ListedExecution, project: string): Promise<boolean> {
  const execution = await executions.describe(listed.arn);
  if (execution === null) return false;
  const requested = inputValue(execution, 'project');
  if (requested !== null) return requested === project;
  const { verified } = readRun(await executions.beginning(listed.arn));
  return projectOf(execution, verified?.spec ?? null)?.value === project;
}

/** The project of a run, and where its name comes from. null: the archive was refused and is not in a project's folder. */
export function projectOf(execution: Execution, spec: VerifyOutput['spec'] | null): Found<string> | null {
  const requested = inputValue(execution, 'project');
  if (requested !== null) return { value: requested, from: "the execution's input" };
  const location = parseArchiveUri(inputValue(execution, 'archive') ?? '');
  const folder = location && projectFolder(location.key);
  const project = spec?.project ?? folder;
  if (project === null) return null;
  return { value: project, from: project === folder ? 'the folder under uploads/' : 'the archive' };
}

/** The instance that a run requested, and where that comes from. */
export function requestedInstance(execution: Execution, spec: VerifyOutput['spec'] | null): Found<string> | null {
  const requested = inputValue(execution, 'instance');
  if (requested !== null) return { value: requested, from: "the execution's input" };
  if (spec === null) return null;
  const { instance, project } = spec;
  const isDefault = instance === `tag:Project=${project}`;
  return { value: instance, from: isDefault ? 'the project' : "runctl.yaml or the upload's metadata" };
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
    state: null,
    outcome: manifest.outcome,
    startedAt: Date.parse(manifest.run.startedAt),
    endedAt: Date.parse(manifest.run.endedAt),
    instance: manifest.instance?.id ?? text('instance'),
    script: text('script'),
  };
}

function inputValue({ input }: Execution, key: 'project' | 'instance' | 'script' | 'archive'): string | null {
  const value = parseObject(input ?? '{}')[key];
  return typeof value === 'string' ? value : null;
}

/** Empty for a text that is not JSON: anybody may start an execution with any input. */
function parseObject(json: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(json)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** What a run does while it is in a state. */
const STATE_WORDS: Readonly<Record<string, string>> = {
  [RUN_STATES.verify]: 'checking the archive',
  [RUN_STATES.find]: 'looking for the instance',
  [RUN_STATES.sync]: 'copying the code to the instance',
  [RUN_STATES.watchSync]: 'copying the code to the instance',
  [RUN_STATES.queue]: 'waiting for the instance',
  [RUN_STATES.install]: 'installing requirements',
  [RUN_STATES.watchInstall]: 'installing requirements',
  [RUN_STATES.start]: 'starting the training',
  [RUN_STATES.confirm]: 'starting the training',
  [RUN_STATES.watchTraining]: 'training',
  [RUN_STATES.finish]: 'saving outputs and logs',
  [RUN_STATES.outputs]: 'saving outputs and logs',
};

export function describeState(state: string | null): string {
  return state === null ? 'starting' : (STATE_WORDS[state] ?? state);
}

/** How an execution ended; null while it runs. */
export function endingOf(execution: Execution): RunEnding | null {
  return isRunning(execution) ? null : readEnding(execution);
}
