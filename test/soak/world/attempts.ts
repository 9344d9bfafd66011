import type { TrainRequest } from '../../../core/protocol/messages.ts';
import type { EndedAttempt, ResumePlan, Run } from '../../../core/workflow/data.ts';
import { RUN_STATES } from '../../../core/workflow/states.ts';
import type { Execution } from '../asl/execution.ts';
import type { Clock } from '../clock.ts';
import type { Restored } from '../model/restore.ts';
import type { CheckpointWatch } from './checkpoints.ts';
import { jobsOf, type RunPlan } from './schedule.ts';

/** What attempts of a schedule must never do. */
export interface AttemptFindings {
  readonly falseRestores: string[];
  readonly lostProgress: string[];
  readonly numbersTwice: string[];
  readonly tooManyAttempts: string[];
}

/** An attempt as Plan attempt has decided it. */
interface Planned {
  /** When the last visit of Plan attempt before it began, ms. */
  readonly at: number;
  readonly resume: ResumePlan | null;
}

/** Numbers of an attempt's checkpoints (core/checkpoints/resume.ts). */
const BLOCK = 10_000;
/** Of a spec without the key `retries`. */
const DEFAULT = { on: ['instance-lost', 'interrupted'], times: 3 };

/** Watches what attempts go on from, and how many there are. */
export class AttemptWatch {
  readonly findings: AttemptFindings = { falseRestores: [], lostProgress: [], numbersTwice: [], tooManyAttempts: [] };
  /** The number of trainings that went on from a checkpoint. */
  resumed = 0;
  /** Attempts that were not the first of their run. */
  get further(): number {
    return [...this.planned.keys()].filter((id) => !id.endsWith(' 1')).length;
  }

  private readonly planned = new Map<string, Planned>();
  private readonly planAt = new Map<string, number>();
  /** The first number of an attempt → the attempt. */
  private readonly blocks = new Map<string, number>();

  constructor(
    private readonly clock: Clock,
    private readonly checkpoints: CheckpointWatch,
    private readonly runs: readonly RunPlan[],
  ) {}

  /** A run's execution enters a state. */
  entered(execution: Execution, state: string): void {
    const { name } = execution.about;
    if (state === RUN_STATES.plan) this.planAt.set(name, this.clock.now());
    if (state !== RUN_STATES.sync) return;
    const { attempt = 1, resume = null } = execution.variable('run') as Run;
    const id = `${name} ${attempt}`;
    if (!this.planned.has(id)) this.planned.set(id, { at: this.planAt.get(name) ?? 0, resume });
  }

  /** A job `restore` has ended well. */
  restored(run: string, attempt: number, restored: Restored): void {
    const what = `${run} attempt ${attempt} restored ${restored.name}`;
    if (this.sourceOf(run, restored) === null)
      this.findings.falseRestores.push(`${what}, which was not committed: ${restored.content.slice(0, 60)}`);
    const plan = this.planOf(run);
    const saves = Array.from({ length: attempt - 1 }, (_, before) => jobsOf(plan, before + 1).train.saves ?? []).flat();
    if (!saves.some(({ name, content }) => name === restored.name && content === restored.content))
      this.findings.falseRestores.push(`${what}, which no training before it saved: ${restored.content.slice(0, 60)}`);
  }

  /** A training is about to begin. */
  training(run: string, attempt: number, train: TrainRequest, restored: Restored | null): void {
    const { checkpoints, resumeFrom = null } = train;
    const what = `${run} attempt ${attempt}`;
    if (checkpoints) this.claims(run, attempt, checkpoints.firstSeq);
    if (attempt === 1) return;
    if (resumeFrom !== (restored?.name ?? null))
      this.findings.falseRestores.push(`${what} goes on from ${resumeFrom}, and ${restored?.name} was restored`);
    const planned = this.planned.get(`${run} ${attempt}`);
    const newest = this.newestBefore(run, planned?.at ?? 0);
    if (restored !== null) this.resumed += 1;
    if (newest === null || this.planOf(run).spec.resume === 'never') return;
    if (restored === null) {
      this.findings.lostProgress.push(`${what} begins anew, and checkpoint ${newest} is whole`);
      return;
    }
    const seq = this.sourceOf(run, restored) ?? 0;
    if (seq < newest && planned?.resume?.isFallback !== true)
      this.findings.lostProgress.push(`${what} goes on from checkpoint ${seq}, and ${newest} is whole`);
  }

  /** At the end of a run. @param attempt the last one @param ended how those before it ended */
  check(run: string, attempt: number, ended: readonly EndedAttempt[]): void {
    const { on, times } = this.retriesOf(run);
    const wrong = (text: string) => this.findings.tooManyAttempts.push(`${run}: ${text}`);
    if (ended.length !== attempt - 1) wrong(`${ended.length} attempts have ended before attempt ${attempt}`);
    let fruitless = 0;
    for (let one = 1; one < attempt; one += 1) {
      fruitless = this.hasSaved(run, one) ? 0 : fruitless + 1;
      const isFallback = this.planned.get(`${run} ${one + 1}`)?.resume?.isFallback === true;
      if (isFallback) continue;
      const outcome = ended.find((other) => other.attempt === one)?.outcome ?? 'nothing';
      // An attempt whose restore failed leaves the reason that it had.
      const reason = ended.findLast((other) => other.attempt <= one && other.error !== 'RestoreFailed')?.outcome;
      if (on !== null && !on.includes(outcome) && !on.includes(reason ?? outcome))
        wrong(`attempt ${one} ended ${outcome}, and another one followed`);
      if (times === 0 || fruitless > times)
        wrong(`attempt ${one + 1} followed ${fruitless} attempts that saved nothing; ${times} are allowed`);
    }
  }

  /** The number of the committed checkpoint of the run's lineage that has these bytes. */
  private sourceOf(run: string, { name, content }: Restored): number | null {
    const found = this.checkpoints.commits.findLast(
      ({ manifest, content: committed }) => manifest.lineage === run && manifest.name === name && committed === content,
    );
    return found?.manifest.seq ?? null;
  }

  /** The newest checkpoint that was committed before then and is whole. */
  private newestBefore(run: string, then: number): number | null {
    const seqs = this.checkpoints.commits
      .filter(({ manifest, at }) => manifest.lineage === run && at < then && this.checkpoints.isThere(manifest))
      .map(({ manifest }) => manifest.seq);
    return seqs.length === 0 ? null : Math.max(...seqs);
  }

  private claims(run: string, attempt: number, firstSeq: number): void {
    const id = `${run} ${Math.floor(firstSeq / BLOCK)}`;
    const other = this.blocks.get(id);
    if (other !== undefined && other !== attempt)
      this.findings.numbersTwice.push(`${run}: attempts ${other} and ${attempt} number from ${firstSeq} on`);
    this.blocks.set(id, attempt);
  }

  private hasSaved(run: string, attempt: number): boolean {
    const block = [...this.blocks].find(([id, of]) => id.startsWith(`${run} `) && of === attempt)?.[0];
    return this.checkpoints.commits.some(
      ({ manifest: { lineage, seq } }) => lineage === run && `${run} ${Math.floor(seq / BLOCK)}` === block,
    );
  }

  private planOf(run: string): RunPlan {
    const found = this.runs.find(({ id }) => id === run);
    if (!found) throw new Error(`nobody started ${run}`);
    return found;
  }

  /** Where `on` is null, any end that is not a success is tried again. */
  private retriesOf(run: string): { readonly on: readonly string[] | null; readonly times: number } {
    const { retries } = this.planOf(run).spec;
    if (retries === undefined) return DEFAULT;
    if (typeof retries !== 'object') return { on: null, times: Number(retries) };
    return { on: retries.on ?? DEFAULT.on, times: retries.times ?? DEFAULT.times };
  }
}
