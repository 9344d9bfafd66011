import { isRunning } from '../../aws/executions.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { readRun } from '../../core/workflow/history.ts';
import type { Run, Runs } from './find.ts';
import { manifestOf } from './summary.ts';

/** The manifest of a run that has ended. null: the run goes on, or has left none. */
export async function manifestOfRun(
  { store }: Pick<Runs, 'store'>,
  { execution, manifest }: Run,
): Promise<Manifest | null> {
  if (execution === null) return manifest;
  return isRunning(execution) ? null : await manifestOf(store, execution);
}

/**
 * The spec of a run: as its manifest has it, otherwise as Verify archive resolved it, which is one call.
 * @returns null: the run has none yet, or had none that was accepted
 */
export async function specOfRun(
  { executions }: Pick<Runs, 'executions'>,
  { execution }: Run,
  manifest: Manifest | null,
): Promise<Manifest['spec'] | object> {
  if (manifest !== null || execution === null) return manifest?.spec ?? null;
  return readRun(await executions.beginning(execution.arn)).verified?.spec ?? null;
}
