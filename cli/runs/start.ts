import { randomBytes } from 'node:crypto';
import { type SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { executionNameAt } from '../../core/names.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { nameOf, translateAwsError } from '../aws/aws-errors.ts';
import { isPassing, persistently, type RetryNotes } from '../aws/retry.ts';
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
  const start = () =>
    sfn.send(new StartExecutionCommand({ stateMachineArn: machineArn, name: runId, input: JSON.stringify(spec) }));
  try {
    await persistently(start, notes, signal);
  } catch (error) {
    // An earlier attempt had reached it, and the run is over already.
    if (nameOf(error) === 'ExecutionAlreadyExists') return { runId, executionArn };
    if (signal.aborted || isPassing(error))
      throw setUpError(
        `Whether the run ${runId} has started is not known: AWS did not answer.`,
        `Look with: runctl status ${runId}`,
        { cause: error },
      );
    throw translateAwsError(error, 'states:StartExecution of runctl-run');
  }
  return { runId, executionArn };
}
