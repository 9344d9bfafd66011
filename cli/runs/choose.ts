import { hasResults } from '../../core/workflow/vocabulary.ts';
import type { Context } from '../context.ts';
import { usageError } from '../errors.ts';
import { projectFor } from '../project/which-project.ts';
import { atMost } from '../terminal/several.ts';
import type { Run, Runs } from './find.ts';
import type { RunSummary } from './summary.ts';

export interface Choice {
  readonly ids: readonly string[];
  /** All active runs, or all ended ones, of the project. */
  readonly all: boolean;
  readonly project?: string;
}

/** Names that a message lists. */
const SHOWN = 10;

/** The runs that were named, each once, in their order. @throws CliError for one that does not exist, before anything is done */
async function named(context: Context, runs: Runs, { ids, project }: Choice): Promise<Run[]> {
  const found = new Map<string, Run>();
  for (const id of ids) {
    const run = await runs.find(id, () => projectFor(context, project === undefined ? {} : { project }));
    found.set(run.id, run);
  }
  return [...found.values()];
}

/**
 * The runs to stop: those that were named, all active ones, or the only active one of the project. Without any, the latest run, so that
 * the message says how it ended.
 * @throws CliError that lists the active runs when several are meant
 */
export async function runsToStop(context: Context, runs: Runs, choice: Choice): Promise<Run[]> {
  refuseBoth(choice);
  if (choice.ids.length > 0) return await named(context, runs, choice);
  const project = await projectFor(context, choice);
  const active: RunSummary[] = [];
  // One that is being stopped needs no second stop.
  for await (const run of runs.list(project.value, { active: true })) if (run.state !== 'stopping') active.push(run);
  if (choice.all && active.length === 0) throw noActive(project.value);
  if (active.length > 1 && !choice.all) throw several(project.value, active);
  if (active.length === 0) return [await runs.find(undefined, async () => project)];
  return await named(context, runs, { ...choice, ids: active.map(({ id }) => id) });
}

/** The runs to download: those that were named, the latest ended ones of the project, or its latest run. */
export async function runsToPull(context: Context, runs: Runs, choice: Choice & { number: number }): Promise<Run[]> {
  refuseBoth(choice);
  if (choice.ids.length > 0) return await named(context, runs, choice);
  const project = await projectFor(context, choice);
  if (!choice.all) return [await runs.find(undefined, async () => project)];
  const ids: string[] = [];
  for await (const { id } of atMost(choice.number, ended(runs, project.value))) ids.push(id);
  if (ids.length === 0)
    throw usageError(`No run of ${project.value} has ended with outputs or logs.`, 'To list its runs: runctl list');
  return await named(context, runs, { ...choice, ids });
}

async function* ended(runs: Runs, project: string): AsyncGenerator<RunSummary> {
  for await (const run of runs.list(project))
    if (run.outcome !== null && run.isKept && hasResults(run.outcome)) yield run;
}

function refuseBoth({ ids, all }: Choice): void {
  if (all && ids.length > 0) throw usageError('--all was given with the id of a run.', 'Give ids, or --all.');
}

function noActive(project: string) {
  return usageError(`No run of ${project} is active.`, 'To list its runs: runctl list');
}

function several(project: string, active: readonly RunSummary[]) {
  const lines = active.slice(0, SHOWN).map(({ id, state }) => `  ${id}  ${state}`);
  const more = active.length > SHOWN ? [`  … and ${active.length - SHOWN} more`] : [];
  return usageError(
    `${active.length} runs of ${project} are active:\n${[...lines, ...more].join('\n')}`,
    'Give the id of one or several, or --all.',
  );
}
