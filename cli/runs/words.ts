import type { ExecutionStatus } from '@aws-sdk/client-sfn';
import { ERRORS, isErrorName, OUTCOMES, type Outcome } from '../../core/errors.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';
import { readEnd } from './ending.ts';
import type { Execution, ListedExecution } from './executions.ts';

/** What a run does while it is in a state, in a person's words. */
const DOING: Readonly<Record<string, string>> = {
  [RUN_STATES.verify]: 'checking the archive',
  [RUN_STATES.find]: 'looking for the instance',
  [RUN_STATES.sync]: 'bringing the code to the instance',
  [RUN_STATES.watchSync]: 'bringing the code to the instance',
  [RUN_STATES.queue]: 'waiting for the instance',
  [RUN_STATES.install]: 'installing requirements',
  [RUN_STATES.watchInstall]: 'installing requirements',
  [RUN_STATES.start]: 'starting the training',
  [RUN_STATES.confirm]: 'starting the training',
  [RUN_STATES.watchTraining]: 'training',
  [RUN_STATES.finish]: 'keeping outputs and logs',
  [RUN_STATES.outputs]: 'keeping outputs and logs',
};

export function doing(state: string | null): string {
  return state === null ? 'starting' : (DOING[state] ?? state);
}

export function isRunning({ status }: Pick<ListedExecution, 'status'>): boolean {
  return status === 'RUNNING' || status === 'PENDING_REDRIVE';
}

/** How a run ended. */
export interface Ending {
  readonly outcome: Outcome;
  readonly message: string;
  readonly next: string | null;
  readonly exitCode: number | null;
  readonly warnings: readonly string[];
  readonly lastLines: readonly string[];
}

/** How an execution ended, as it says itself; null while it runs. */
export function endingOf(execution: Execution): Ending | null {
  const { status, error } = execution;
  if (status === 'RUNNING' || status === 'PENDING_REDRIVE') return null;
  const { outcome, message, next, exitCode, warnings, lastLines } = readEnd({ ...execution, status });
  const named = error !== null && isErrorName(error) ? ERRORS[error] : null;
  return {
    outcome: outcomeOf(status, outcome, named?.outcome),
    message,
    next: next ?? named?.next ?? null,
    exitCode,
    warnings,
    lastLines,
  };
}

function outcomeOf(status: ExecutionStatus, said: string, named: Outcome | undefined): Outcome {
  if (status === 'SUCCEEDED') return 'succeeded';
  if (status === 'ABORTED') return 'stopped';
  if (status === 'TIMED_OUT') return 'timed-out';
  return OUTCOMES.find((outcome) => outcome === said) ?? named ?? 'internal';
}
