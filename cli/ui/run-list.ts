import { headlineOf } from '../../core/metrics/headline.ts';
import type { Runs } from '../runs/find.ts';
import { type RunSummary, toRunOutput } from '../runs/summary.ts';
import { atMost } from '../terminal/several.ts';
import { Refresher } from './refresher.ts';
import type { RunWatch } from './run-watch.ts';
import type { ListView } from './view.ts';
import { describeWord } from './words.ts';

const LIST_MS = 5_000;
/** The latest; `runctl list -n` shows more. */
const LISTED = 30;
/** Active runs whose metrics the list shows: some calls of AWS each. */
const DETAILED = 5;

/** Reads the list of runs for all pages that show it. */
export class RunList {
  readonly #runs: Runs;
  readonly #project: string | null;
  readonly #watch: (run: RunSummary) => RunWatch | null;
  readonly #refresher = new Refresher(LIST_MS, () => this.#read());
  #found: readonly RunSummary[] = [];
  #isPartial = true;

  /** @param project null: all. @param watch null: its run is not known yet */
  constructor(runs: Runs, project: string | null, watch: (run: RunSummary) => RunWatch | null) {
    this.#runs = runs;
    this.#project = project;
    this.#watch = watch;
  }

  async view(maxWaitMs: number): Promise<ListView> {
    await this.#refresher.refresh(maxWaitMs);
    const now = Date.now();
    const active = new Set(this.#found.filter(({ outcome }) => outcome === null).slice(0, DETAILED));
    const runs = this.#found.map((run) => {
      const watch = active.has(run) ? this.#watch(run) : null;
      // Not waited for: the next view has it.
      void watch?.refreshStatus(0);
      const report = watch?.report ?? null;
      const headline = headlineOf(report?.metrics ?? run.metrics, run.headlines);
      return {
        ...toRunOutput(run, now),
        ...describeWord(run.state),
        headline,
        costSoFarUsd: report?.costSoFarUsd ?? null,
      };
    });
    const { readAt, trouble } = this.#refresher;
    return { project: this.#project, runs, isPartial: this.#isPartial, readAt, trouble };
  }

  async #read(): Promise<boolean> {
    const found: RunSummary[] = [];
    for await (const run of atMost(LISTED, this.#runs.list(this.#project))) {
      found.push(run);
      // A first list fills as it is read; a later one replaces what is shown as a whole.
      if (this.#isPartial) this.#found = [...found];
    }
    this.#found = found;
    this.#isPartial = false;
    return true;
  }
}
