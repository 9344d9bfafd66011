import type { Execution, Executions } from '../../aws/executions.ts';
import { isRunning } from '../../aws/executions.ts';
import { retryNotes, retryUntilReachable } from '../account/retry.ts';
import type { Context } from '../context.ts';
import { printDetached } from '../terminal/detach.ts';
import { pollUntil } from '../terminal/poll.ts';
import { activityOf } from './activity.ts';

const POLL_MS = 2_000;

/** Waits until an execution has ended, and shows its state meanwhile. Ctrl-C ends only the waiting. */
export async function waitForEnd(
  { terminal, signal }: Pick<Context, 'terminal' | 'signal'>,
  executions: Pick<Executions, 'describe' | 'lastState' | 'lastOutput'>,
  run: Execution,
): Promise<Execution> {
  const notes = retryNotes((line) => terminal.note(line));
  try {
    return await terminal.working(`Waiting for run ${run.name}`, async (update) => {
      const readState = async () => {
        const execution = await retryUntilReachable(() => executions.describe(run.arn, signal), notes, signal);
        if (execution === null || !isRunning(execution)) return execution ?? run;
        const activity = await retryUntilReachable(() => activityOf(executions, run.arn), notes, signal);
        update(`Run ${run.name}: ${activity}`);
        return undefined;
      };
      return await pollUntil(POLL_MS, readState, signal);
    });
  } catch (error) {
    if (signal.aborted) printDetached(terminal, run.name);
    throw error;
  }
}
