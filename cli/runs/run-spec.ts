import { isRunning } from '../../aws/executions.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { readRun } from '../../core/workflow/history.ts';
import type { Run, Runs } from './find.ts';
import { manifestOf } from './summary.ts';

/**
 * The spec of a run: of a run that has ended from its manifest, otherwise as Verify archive resolved it. At most two calls.
 * @returns null: the run has none yet, or had none that was accepted
 */
export async function specOfRun(
  { executions, store }: Pick<Runs, 'executions' | 'store'>,
  { execution, manifest }: Run,
): Promise<Manifest['spec'] | object> {
  if (execution === null) return manifest.spec;
  const kept = isRunning(execution) ? null : await manifestOf(store, execution);
  if (kept !== null) return kept.spec;
  return readRun(await executions.beginning(execution.arn)).verified?.spec ?? null;
}
