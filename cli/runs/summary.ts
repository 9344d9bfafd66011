import * as z from 'zod';
import type { Execution, Executions, ListedExecution } from '../../aws/executions.ts';
import { isRunning } from '../../aws/executions.ts';
import type { Outcome } from '../../core/errors.ts';
import { parseArchiveUri, projectFolder } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import type { VerifyOutput } from '../../core/workflow/data.ts';
import { readRun } from '../../core/workflow/history.ts';
import type { Found } from '../project/project.ts';
import { json } from './json.ts';
import { doing, endingOf } from './words.ts';

/** A run as a list shows it. Times in epoch milliseconds. */
export interface RunSummary {
  readonly id: string;
  readonly arn: string;
  readonly project: string | null;
  /** What it does, in words; null: it has ended. */
  readonly state: string | null;
  /** null: it has not ended. */
  readonly outcome: Outcome | null;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly instance: string | null;
  readonly script: string | null;
}

type Reader = Pick<Executions, 'describe' | 'beginning' | 'lastState'>;

/** Three calls at most, however long the run has lasted. null: Step Functions has forgotten it meanwhile. */
export async function summarize(executions: Reader, listed: ListedExecution): Promise<RunSummary | null> {
  const [execution, beginning, state] = await Promise.all([
    executions.describe(listed.arn),
    executions.beginning(listed.arn),
    isRunning(listed) ? executions.lastState(listed.arn) : null,
  ]);
  if (execution === null) return null;
  const begun = readRun(beginning);
  const spec = begun.verified?.spec ?? null;
  return {
    id: execution.name,
    arn: execution.arn,
    project: projectOf(execution, spec)?.value ?? null,
    state: isRunning(execution) ? doing(state) : null,
    outcome: endingOf(execution)?.outcome ?? null,
    startedAt: execution.startedAt,
    endedAt: execution.endedAt,
    instance: begun.instance?.id ?? spec?.instance ?? askedFor(execution, 'instance'),
    script: spec?.script ?? askedFor(execution, 'script'),
  };
}

/** Whether a run is of a project: its input says so, or what Verify archive found. Two calls at most. */
export async function isOfProject(executions: Reader, listed: ListedExecution, project: string): Promise<boolean> {
  const execution = await executions.describe(listed.arn);
  if (execution === null) return false;
  const asked = askedFor(execution, 'project');
  if (asked !== null) return asked === project;
  const { verified } = readRun(await executions.beginning(listed.arn));
  return projectOf(execution, verified?.spec ?? null)?.value === project;
}

/** The project of a run, and where the run had it from. null: its archive was refused, and does not lie in a project's folder. */
export function projectOf(execution: Execution, spec: VerifyOutput['spec'] | null): Found<string> | null {
  const asked = askedFor(execution, 'project');
  if (asked !== null) return { value: asked, from: "the execution's input" };
  const location = parseArchiveUri(askedFor(execution, 'archive') ?? '');
  const folder = location && projectFolder(location.key);
  const project = spec?.project ?? folder;
  if (project === null) return null;
  return { value: project, from: project === folder ? 'the folder under uploads/' : 'the archive' };
}

/** Which instance a run asked for, and where it had that from. */
export function askedInstance(execution: Execution, spec: VerifyOutput['spec'] | null): Found<string> | null {
  const asked = askedFor(execution, 'instance');
  if (asked !== null) return { value: asked, from: "the execution's input" };
  if (spec === null) return null;
  const { instance, project } = spec;
  const isDefault = instance === `tag:Project=${project}`;
  return { value: instance, from: isDefault ? 'the project' : "runctl.yaml or the upload's metadata" };
}

/** Of a run that Step Functions knows no more. */
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

function askedFor({ input }: Execution, key: 'project' | 'instance' | 'script' | 'archive'): string | null {
  const asked = json.pipe(z.record(z.string(), z.unknown())).safeParse(input ?? '{}').data;
  const value = asked?.[key];
  return typeof value === 'string' ? value : null;
}
