import { randomBytes } from 'node:crypto';
import type { SFNClient } from '@aws-sdk/client-sfn';
import { isTransient } from '../../aws/errors.ts';
import { executionsOver } from '../../aws/executions.ts';
import { executionNameAt } from '../../core/names.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { type RetryNotes, retryUntilReachable } from '../account/retry.ts';
import { setUpError } from '../errors.ts';

export interface StartedRun {
  readonly runId: string;
  readonly executionArn: string;
}

/**
 * Starts exactly one run, however often the call is repeated: its name is chosen here, and Step Functions accepts a name
 * only once.
 * @throws CliError, also when it is unknown whether the run has started
 */
export async function startRun(
  sfn: Pick<SFNClient, 'send'>,
  machineArn: string,
  spec: SpecInput & { readonly project: string },
  notes: RetryNotes,
  signal: AbortSignal,
): Promise<StartedRun> {
  signal.throwIfAborted();
  const runId = executionNameAt(spec.project, new Date(), randomBytes(2).toString('hex'));
  const executionArn = `${machineArn.replace(':stateMachine:', ':execution:')}:${runId}`;
  // Without the signal: an aborted call may have started the run.
  const start = () => executionsOver(sfn).start(machineArn, runId, spec);
  try {
    // A name that is taken: an earlier attempt has started the run.
    await retryUntilReachable(start, notes, signal);
  } catch (error) {
    if (signal.aborted || isTransient(error))
      throw setUpError(
        `AWS did not answer, so it is unknown whether run ${runId} has started.`,
        `To check: runctl status ${runId}`,
        { cause: error },
      );
    throw error;
  }
  return { runId, executionArn };
}
