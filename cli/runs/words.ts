import { type Execution, isRunning } from '../../aws/executions.ts';
import { type RunEnding, readEnding } from '../../core/workflow/run-ending.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';

/** What a run does while it is in a state. */
const DOING: Readonly<Record<string, string>> = {
  [RUN_STATES.verify]: 'checking the archive',
  [RUN_STATES.find]: 'looking for the instance',
  [RUN_STATES.sync]: 'copying the code to the instance',
  [RUN_STATES.watchSync]: 'copying the code to the instance',
  [RUN_STATES.queue]: 'waiting for the instance',
  [RUN_STATES.install]: 'installing requirements',
  [RUN_STATES.watchInstall]: 'installing requirements',
  [RUN_STATES.start]: 'starting the training',
  [RUN_STATES.confirm]: 'starting the training',
  [RUN_STATES.watchTraining]: 'training',
  [RUN_STATES.finish]: 'saving outputs and logs',
  [RUN_STATES.outputs]: 'saving outputs and logs',
};

export function doing(state: string | null): string {
  return state === null ? 'starting' : (DOING[state] ?? state);
}

/** How an execution ended; null while it runs. */
export function endingOf(execution: Execution): RunEnding | null {
  return isRunning(execution) ? null : readEnding(execution);
}
