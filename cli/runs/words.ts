import type { ExecutionStatus } from '@aws-sdk/client-sfn';
import { ERRORS, isErrorName, OUTCOMES, type Outcome } from '../../core/errors.ts';
import { readEnd } from './ending.ts';
import type { Execution, ListedExecution } from './executions.ts';

/** What a run does while it is in a state, in a person's words. */
const DOING: Readonly<Record<string, string>> = {
  'Verify archive': 'checking the archive',
  'Find instance': 'looking for the instance',
  'Sync code': 'bringing the code to the instance',
  'Watch sync': 'bringing the code to the instance',
  'Wait for instance': 'waiting for the instance',
  'Install requirements': 'installing requirements',
  'Watch install': 'installing requirements',
  'Start training': 'starting the training',
  'Confirm PID': 'starting the training',
  'Watch training': 'training',
  'Finish run': 'keeping outputs and logs',
  'Wait for outputs': 'keeping outputs and logs',
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
