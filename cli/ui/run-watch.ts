import { isRunning } from '../../aws/executions.ts';
import type { JobName } from '../../core/names.ts';
import { readUsage } from '../../core/results/read-sources.ts';
import type { Run } from '../runs/find.ts';
import { reportJson } from '../runs/print-report.ts';
import { type ReportSources, type RunReport, reportOn } from '../runs/report.ts';
import { openerOf } from '../runs/run-metrics.ts';
import { mayBeActive } from '../runs/summary.ts';
import { JobReader } from './job-reader.ts';
import { Refresher } from './refresher.ts';
import type { PageState } from './server.ts';
import { UsageCurves } from './usage-curves.ts';
import type { PullView, RunView } from './view.ts';
import { describeWord } from './words.ts';

/** About six calls of AWS for the status, and one or two for a log. */
const STATUS_MS = 5_000;
const LOG_MS = 2_000;

/** Reads one run for all pages that show it. */
export class RunWatch {
  readonly #sources: ReportSources;
  readonly #signal: AbortSignal;
  readonly #status: Refresher;
  readonly #logs = new Map<JobName, { readonly reader: JobReader; readonly refresher: Refresher }>();
  #usage = new UsageCurves();
  #run: Run;
  report: RunReport | null = null;
  pull: PullView | null = null;

  constructor(sources: ReportSources, run: Run, signal: AbortSignal) {
    this.#sources = sources;
    this.#run = run;
    this.#signal = signal;
    this.#status = new Refresher(STATUS_MS, () => this.#readStatus());
  }

  /** As it was read last. */
  get run(): Run {
    return this.#run;
  }

  async refreshStatus(maxWaitMs: number): Promise<void> {
    await this.#status.refresh(maxWaitMs);
  }

  /** Something was done to the run: what is known of it may be wrong. */
  expire(): void {
    this.#status.expire();
  }

  /** @param has what the page has already */
  async view(has: PageState, maxWaitMs: number): Promise<RunView> {
    // The first page waits for the status, which says what job the run has come to.
    await this.#status.refresh(maxWaitMs);
    const job = has.job ?? this.report?.job ?? 'train';
    const train = this.#log('train');
    const shown = this.#log(job);
    await Promise.all([train.refresher.refresh(maxWaitMs), shown.refresher.refresh(maxWaitMs)]);
    const { lines, total } = shown.reader.tail.after(has.job === null ? 0 : has.line);
    const { report } = this;
    return {
      status: report && withoutManifest(report),
      ...describeWord(report?.state ?? 'starting'),
      costSoFarUsd: report?.costSoFarUsd ?? null,
      log: { job, lines, total },
      metrics: train.reader.metrics.view(has.metrics),
      usage: this.#usage.view(has.usage),
      pull: this.pull,
      readAt: this.#status.readAt,
      trouble: this.#status.trouble ?? shown.refresher.trouble ?? train.refresher.trouble,
    };
  }

  async #readStatus(): Promise<boolean> {
    const { runs } = this.#sources;
    const execution = this.#run.execution && (await runs.executions.describe(this.#run.arn, this.#signal));
    if (execution !== null) this.#run = { ...this.#run, execution, manifest: null };
    this.report = await reportOn(this.#sources, this.#run);
    const { outcome, isKept, usage, manifest } = this.report;
    this.#usage.add(usage);
    // What was measured between the polls, too.
    if (manifest !== null) await this.#readWholeUsage();
    return outcome === null || (!isKept && execution !== null && mayBeActive(execution, Date.now()));
  }

  async #readWholeUsage(): Promise<void> {
    const whole = new UsageCurves();
    const samples = await readUsage(openerOf(this.#sources.runs.store, this.#run.id, this.#signal));
    for (const sample of samples) whole.add(sample);
    if (samples.length > 0) this.#usage = whole;
  }

  #log(job: JobName) {
    const existing = this.#logs.get(job);
    if (existing) return existing;
    const { logs, logGroup, runs } = this.#sources;
    const sources = { logs, logGroup, store: runs.store };
    const reader = new JobReader(sources, { id: this.#run.id, job }, () => this.report?.spec);
    const refresher = new Refresher(LOG_MS, async () => {
      // The spec says what metrics the log of a training has.
      if (job === 'train' && this.report === null) return true;
      const { execution, manifest } = this.#run;
      const isOver = execution === null || !isRunning(execution);
      return await reader.read(isOver, manifest ?? this.report?.manifest ?? null, this.#signal);
    });
    const log = { reader, refresher };
    this.#logs.set(job, log);
    return log;
  }
}

/** It lists packages and outputs, and the page shows none of them. */
function withoutManifest(report: RunReport): RunView['status'] {
  const { manifest: _, ...status } = reportJson(report, Date.now());
  return status;
}
