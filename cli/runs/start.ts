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
 * Starts exactly one run, however often the call is repeated.
 * @throws CliError, also when it is unknown whether the run has started
 */
export async function startRun(
  sfn: Pick<SFNClient, 'send'>,
  machineArn: string,
  spec: SpecInput & { readonly project: string },
  notes: RetryNotes,
  signal: AbortSignal,
): Promise<StartedRun> {
  const check = (runId: string) => `To check: runctl status ${runId}`;
  const execution = { what: 'run', stem: spec.project, input: spec, check };
  const { name, executionArn } = await startExecution(sfn, machineArn, execution, notes, signal);
  return { runId: name, executionArn };
}

/**
 * Starts exactly one execution, however often the call is repeated: its name is chosen here, and Step Functions accepts a name
 * only once.
 * @param execution what it is, in a word; the first part of its name; how to check whether it has started
 * @throws CliError, also when it is unknown whether it has started
 */
export async function startExecution(
  sfn: Pick<SFNClient, 'send'>,
  machineArn: string,
  execution: {
    readonly what: string;
    readonly stem: string;
    readonly input: object;
    readonly check: (name: string) => string;
  },
  notes: RetryNotes,
  signal: AbortSignal,
): Promise<{ readonly name: string; readonly executionArn: string }> {
  signal.throwIfAborted();
  const { what, stem, input, check } = execution;
  const name = executionNameAt(stem, new Date(), randomBytes(2).toString('hex'));
  const executionArn = `${machineArn.replace(':stateMachine:', ':execution:')}:${name}`;
  // Without the signal: an aborted call may have started it.
  const start = () => executionsOver(sfn).start(machineArn, name, input);
  try {
    // A name that is taken: an earlier attempt has started it.
    await retryUntilReachable(start, notes, signal);
  } catch (error) {
    if (signal.aborted || isTransient(error))
      throw setUpError(`AWS did not answer, so it is unknown whether ${what} ${name} has started.`, check(name), {
        cause: error,
      });
    throw error;
  }
  return { name, executionArn };
}
