import type { Execution } from '../../aws/executions.ts';
import { RUN_MACHINE, WATCH_MACHINE } from '../../core/names.ts';
import { type ReconstructedRun, reconstructRun } from '../../core/outcome/reconstruct-run.ts';
import type { Runs } from './find.ts';

/** What an execution knows by now, or knew when it ended. */
export function reconstruct(
  { executions, machine }: Pick<Runs, 'executions' | 'machine'>,
  execution: Execution,
): Promise<ReconstructedRun> {
  return reconstructRun(executions, execution, machine.replace(RUN_MACHINE, WATCH_MACHINE));
}
