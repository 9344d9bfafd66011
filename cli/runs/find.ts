import { distance } from 'fastest-levenshtein';
import { type Execution, type Executions, executionsOver, type ListedExecution } from '../../aws/executions.ts';
import { RUN_MACHINE } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import type { Account } from '../account/account.ts';
import { type CliError, usageError } from '../errors.ts';
import type { Found } from '../project/project.ts';
import { atMost, mapSeveral } from '../terminal/several.ts';
import { RunStore } from './store.ts';
import { isOfProject, mayBeActive, type RunSummary, summarize } from './summary.ts';

/** How far back a project's runs are searched: two or three calls each. */
const SEARCHED = 500;
/** How far back the beginning of an id is searched: one call per hundred. */
const IDS_SEARCHED = 5_000;
const IDS_SHOWN = 5;

/** A run that was found: by its execution, which Step Functions deletes after 90 days, or by its manifest, which stays. */
export type Run = { readonly id: string; readonly arn: string } & (
  | { readonly execution: Execution; readonly manifest: null }
  | { readonly execution: null; readonly manifest: Manifest }
);

/** The runs of an account and region. */
export class Runs {
  readonly executions: Executions;
  readonly store: Pick<RunStore, keyof RunStore>;
  readonly machine: string;
  /** Of runs that change no more, by ARN. */
  readonly #summaries = new Map<string, RunSummary>();

  constructor(parts: Pick<Runs, 'executions' | 'store' | 'machine'>) {
    this.executions = parts.executions;
    this.store = parts.store;
    this.machine = parts.machine;
  }

  static async of(account: Account): Promise<Runs> {
    const [machine, bucket] = await Promise.all([account.output('machine'), account.output('bucket')]);
    return new Runs({ executions: executionsOver(account.sfn), store: new RunStore(account.s3, bucket), machine });
  }

  /** Newest first. @param project null: all. @param only `active`: those that have not ended, and whose outputs are being saved */
  async *list(
    project: string | null,
    only: { readonly active: boolean } = { active: false },
  ): AsyncGenerator<RunSummary> {
    const newest = atMost(SEARCHED, this.executions.newest(this.machine));
    const listed = only.active ? this.#active(newest) : newest;
    for await (const run of mapSeveral(listed, (one) => this.#summarize(one))) {
      if (run === null || (project !== null && run.project !== project)) continue;
      if (!only.active || run.outcome === null) yield run;
    }
  }

  /**
   * Finds a run by its id, by a beginning of it that no other run has, or by its ARN; by default the latest of the project.
   * @throws CliError that names similar ids
   */
  async find(query: string | undefined, project: () => Promise<Found<string>>): Promise<Run> {
    if (query === undefined) return await this.#latest(await project());
    const id = query.startsWith('arn:') ? this.#idIn(query) : query;
    const exact = await this.#exact(id);
    if (exact !== null) return exact;
    const ids = await this.#known(id);
    const matches = ids.filter((one) => one.startsWith(id));
    const [only] = matches;
    const run = matches.length === 1 && only !== undefined ? await this.#exact(only) : null;
    if (run !== null) return run;
    throw matches.length > 1 ? ambiguous(query, matches) : unknown(query, ids);
  }

  /** A list that is read again and again asks once for what has ended. */
  async #summarize(listed: ListedExecution): Promise<RunSummary | null> {
    const known = this.#summaries.get(listed.arn);
    if (known?.startedAt === listed.startedAt) return known;
    const summary = await summarize(this.executions, this.store, listed);
    const isFinal = summary !== null && summary.outcome !== null;
    if (isFinal && (summary.isKept || !mayBeActive(listed, Date.now()))) this.#summaries.set(listed.arn, summary);
    return summary;
  }

  /** Those of the newest that may be active, and those that run since longer. */
  async *#active(newest: AsyncIterable<ListedExecution>): AsyncGenerator<ListedExecution> {
    const running = this.executions.running(this.machine);
    running.catch(() => undefined); // reported below
    const seen = new Set<string>();
    for await (const one of newest) {
      seen.add(one.arn);
      if (mayBeActive(one, Date.now())) yield one;
    }
    for (const arn of await running) {
      const older = seen.has(arn) ? null : await this.executions.describe(arn);
      if (older !== null) yield older;
    }
  }

  async #latest(project: Found<string>): Promise<Run> {
    const newest = atMost(SEARCHED, this.executions.newest(this.machine));
    const checked = mapSeveral(newest, async (one) => ({
      arn: one.arn,
      matches: await isOfProject(this.executions, one, project.value),
    }));
    for await (const { arn, matches } of checked) {
      const execution = matches ? await this.executions.describe(arn) : null;
      if (execution) return { id: execution.name, arn, execution, manifest: null };
    }
    throw usageError(
      `There is no run of the project ${project.value} (from ${project.from}) among the latest ${SEARCHED}.`,
      'Start one: runctl run. To list the runs of all projects: runctl list --all. To choose another project: --project',
    );
  }

  async #exact(id: string): Promise<Run | null> {
    if (!/^[^/\s]{1,80}$/.test(id)) return null;
    const arn = `${this.machine.replace(':stateMachine:', ':execution:')}:${id}`;
    const execution = await this.executions.describe(arn);
    if (execution) return { id, arn, execution, manifest: null };
    const manifest = await this.store.manifest(id);
    return manifest && { id, arn: manifest.run.arn, execution: null, manifest };
  }

  /** Ids of recent runs, and of older ones with this beginning. */
  async #known(beginning: string): Promise<string[]> {
    const ids = new Set<string>();
    for await (const { name } of atMost(IDS_SEARCHED, this.executions.newest(this.machine))) ids.add(name);
    for (const id of await this.store.idsBeginning(beginning)) ids.add(id);
    return [...ids];
  }

  #idIn(arn: string): string {
    const [, machine, id] = /:execution:([^:]+):([^:]+)$/.exec(arn) ?? [];
    if (machine === RUN_MACHINE && id !== undefined) return id;
    throw usageError(
      `${arn} is not the ARN of a run.`,
      `A run is an execution of ${RUN_MACHINE}: arn:aws:states:<region>:<account>:execution:${RUN_MACHINE}:<run id>`,
    );
  }
}

function ambiguous(query: string, ids: readonly string[]): CliError {
  return usageError(
    `The ids of ${ids.length} runs begin with ${query}:\n${indented(ids)}`,
    'Give more characters of the id.',
  );
}

function unknown(query: string, ids: readonly string[]): CliError {
  const nearest = [...ids].sort((a, b) => distance(a, query) - distance(b, query));
  const similar = ids.length === 0 ? ' There are no runs yet.' : ` The nearest ids:\n${indented(nearest)}`;
  return usageError(`There is no run ${query}.${similar}`, 'To list all runs: runctl list --all');
}

function indented(ids: readonly string[]): string {
  const more = ids.length > IDS_SHOWN ? [`… and ${ids.length - IDS_SHOWN} more`] : [];
  return [...ids.slice(0, IDS_SHOWN), ...more].map((line) => `  ${line}`).join('\n');
}
