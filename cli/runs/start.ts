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
 * Starts one run, however often the call has to be repeated: its name is chosen here, and Step Functions gives a name away once.
 * @throws CliError; one that says so when it is not known whether the run has started
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
  // Not with the signal: a call that was cut off may have started the run.
  const start = () => executionsOver(sfn).start(machineArn, runId, spec);
  try {
    // A name that is taken: an earlier attempt has started the run.
    await retryUntilReachable(start, notes, signal);
  } catch (error) {
    if (signal.aborted || isTransient(error))
      throw setUpError(
        `Whether the run ${runId} has started is not known: AWS did not answer.`,
        `Look with: runctl status ${runId}`,
        { cause: error },
      );
    throw error;
  }
  return { runId, executionArn };
}
