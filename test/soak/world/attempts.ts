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

/** Where a run comes from. `base` null: it is the first of its lineage. */
interface Origin {
  readonly lineage: string;
  readonly base: number | null;
}

/** Numbers of an attempt's checkpoints (core/checkpoints/resume.ts). */
const BLOCK = 10_000;
/** latest.json is written a little later than its checkpoint. */
const LATEST_MS = 120_000;
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
  /** Of a run that names another one: when it began. */
  private readonly beganAt = new Map<string, number>();
  /** Of a run that goes on from another one: its lineage, and the number that it goes on from. */
  private readonly origins = new Map<string, Origin>();
  /** Of a run that goes on from another one: when its first training began. */
  private readonly wentOnAt = new Map<string, number>();
  /** The lineage and the block of an attempt's numbers → its run and attempt. */
  private readonly blocks = new Map<string, string>();

  constructor(
    private readonly clock: Clock,
    private readonly checkpoints: CheckpointWatch,
    private readonly runs: readonly RunPlan[],
  ) {}

  /** A run's execution enters a state. */
  entered(execution: Execution, state: string): void {
    const { name } = execution.about;
    if (state === RUN_STATES.verify && !this.beganAt.has(name)) this.beganAt.set(name, this.clock.now());
    if (state === RUN_STATES.find && !this.origins.has(name)) this.verified(name, execution.variable('run') as Run);
    if (state === RUN_STATES.plan) this.planAt.set(name, this.clock.now());
    if (state !== RUN_STATES.sync) return;
    const { attempt = 1, resume = null } = execution.variable('run') as Run;
    const id = `${name} ${attempt}`;
    if (!this.planned.has(id))
      this.planned.set(id, { at: this.planAt.get(name) ?? this.beganAt.get(name) ?? 0, resume });
  }

  /** Verify archive has decided what a run goes on from that names another one. */
  private verified(run: string, { resume }: Run): void {
    const named = this.namedBy(run);
    if (named === null || !resume) return;
    const { lineage, checkpoint } = resume;
    this.origins.set(run, { lineage, base: checkpoint?.seq ?? null });
    const what = `${run}, which names ${named}, is to go on from ${lineage} ${checkpoint?.seq}`;
    const from = named === 'latest' ? lineage : named;
    if (this.originOf(from).lineage !== lineage) this.findings.falseRestores.push(`${what}, another lineage`);
    const then = this.beganAt.get(run) ?? 0;
    const newest = this.newestBefore(from, then);
    const isVisible = this.visibleTo(from).some(({ manifest: { seq } }) => seq === checkpoint?.seq);
    if (!isVisible) this.findings.falseRestores.push(`${what}, which that run did not save or go on from`);
    if (newest !== null && (checkpoint?.seq ?? 0) < newest)
      this.findings.lostProgress.push(`${what}, and checkpoint ${newest} is whole`);
    if (named !== 'latest') return;
    const last = this.checkpoints.commits.findLast(({ at }) => at < then - LATEST_MS)?.manifest.lineage;
    const since = this.checkpoints.commits.some(
      ({ manifest, at }) => manifest.lineage === lineage && at >= then - LATEST_MS,
    );
    if (last !== undefined && last !== lineage && !since)
      this.findings.lostProgress.push(`${what}, and ${last} saved a checkpoint last`);
  }

  /** Whether a run that names another one may find that this has nothing to go on from. */
  mayFindNothing(run: string): boolean {
    const named = this.namedBy(run);
    if (named === null) return false;
    if (this.origins.has(run)) return !this.visibleTo(run).some(({ manifest }) => this.checkpoints.isThere(manifest));
    const then = this.beganAt.get(run) ?? 0;
    // That it goes on from another one is written down when its checkpoint is restored.
    const isKnown = (this.wentOnAt.get(named) ?? Number.POSITIVE_INFINITY) < then;
    const own = this.checkpoints.commits.filter(({ manifest }) => manifest.run.id === named);
    const all = named === 'latest' ? this.checkpoints.commits : isKnown ? this.visibleTo(named) : own;
    return !all.some(({ manifest, at }) => at < then && this.checkpoints.isThere(manifest));
  }

  private namedBy(run: string): string | null {
    const resume = this.runs.find(({ id }) => id === run)?.spec.resume ?? 'auto';
    return ['auto', 'never'].includes(resume) ? null : resume;
  }

  private originOf(run: string): Origin {
    return this.origins.get(run) ?? { lineage: run, base: null };
  }

  /** The checkpoints that a run has saved, and those that it went on from. */
  private visibleTo(run: string): CheckpointWatch['commits'] {
    const { lineage, base } = this.originOf(run);
    return this.checkpoints.commits.filter(
      ({ manifest }) =>
        manifest.lineage === lineage && (manifest.run.id === run || base === null || manifest.seq <= base),
    );
  }

  /** A job `restore` has ended well. */
  restored(run: string, attempt: number, restored: Restored): void {
    const what = `${run} attempt ${attempt} restored ${restored.name}`;
    if (this.sourceOf(run, restored) === null)
      this.findings.falseRestores.push(`${what}, which was not committed: ${restored.content.slice(0, 60)}`);
    const isInherited = this.visibleTo(run).some(
      ({ manifest, content }) =>
        manifest.run.id !== run && manifest.name === restored.name && content === restored.content,
    );
    if (isInherited) return;
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
    if (attempt === 1 && !this.origins.has(run)) return;
    if (!this.wentOnAt.has(run)) this.wentOnAt.set(run, this.clock.now());
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
    const found = this.visibleTo(run).findLast(
      ({ manifest, content: committed }) => manifest.name === name && committed === content,
    );
    return found?.manifest.seq ?? null;
  }

  /** The newest checkpoint that was committed before then and is whole. */
  private newestBefore(run: string, then: number): number | null {
    const seqs = this.visibleTo(run)
      .filter(({ manifest, at }) => at < then && this.checkpoints.isThere(manifest))
      .map(({ manifest }) => manifest.seq);
    return seqs.length === 0 ? null : Math.max(...seqs);
  }

  private claims(run: string, attempt: number, firstSeq: number): void {
    const id = `${this.originOf(run).lineage} ${Math.floor(firstSeq / BLOCK)}`;
    const own = `${run} ${attempt}`;
    const other = this.blocks.get(id) ?? own;
    if (other !== own) this.findings.numbersTwice.push(`attempts ${other} and ${own} number from ${firstSeq} on`);
    this.blocks.set(id, own);
  }

  private hasSaved(run: string, attempt: number): boolean {
    const block = [...this.blocks].find(([, own]) => own === `${run} ${attempt}`)?.[0];
    return this.checkpoints.commits.some(
      ({ manifest: { lineage, seq } }) => `${lineage} ${Math.floor(seq / BLOCK)}` === block,
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
