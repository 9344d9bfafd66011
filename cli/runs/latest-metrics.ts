import type { RunWord } from '../../core/workflow/vocabulary.ts';
import { mapSeveral } from '../terminal/several.ts';
import type { Runs } from './find.ts';
import { reconstruct } from './reconstruct.ts';
import type { RunSummary } from './summary.ts';

/** What a run does once it has trained for a while. */
const HAVE_METRICS: readonly RunWord[] = ['training', 'saving', 'stopping'];
/** Such runs whose latest values are read: a few calls of AWS each. */
const READ = 10;

/** The runs with the latest values of the newest of those that have begun to train. The summary of an ended run has them by itself. */
export async function withLatestMetrics(
  runs: Pick<Runs, 'executions' | 'machine'>,
  found: readonly RunSummary[],
): Promise<RunSummary[]> {
  const training = new Set(found.filter(({ state }) => HAVE_METRICS.includes(state)).slice(0, READ));
  const all: RunSummary[] = [];
  for await (const run of mapSeveral(found, async (one) => (training.has(one) ? await read(runs, one) : one)))
    all.push(run);
  return all;
}

/** A list is not refused because the history of one run cannot be read. */
async function read(runs: Pick<Runs, 'executions' | 'machine'>, run: RunSummary): Promise<RunSummary> {
  try {
    const execution = await runs.executions.describe(run.arn);
    if (execution === null) return run;
    const { facts } = await reconstruct(runs, execution);
    return { ...run, metrics: facts.train?.metrics?.values ?? [] };
  } catch {
    return run;
  }
}
