import { setTimeout } from 'node:timers/promises';
import type { Execution, Executions } from '../../aws/executions.ts';
import { isRunning } from '../../aws/executions.ts';
import { retryNotes, retryUntilReachable } from '../account/retry.ts';
import type { Context } from '../context.ts';
import { sayDetached } from '../terminal/detach.ts';
import { doing } from './words.ts';

const POLL_MS = 2_000;

/** Waits until an execution has ended, and shows its state meanwhile. Ctrl-C ends only the waiting. */
export async function waitForEnd(
  { terminal, signal }: Pick<Context, 'terminal' | 'signal'>,
  executions: Pick<Executions, 'describe' | 'lastState'>,
  run: Execution,
): Promise<Execution> {
  const notes = retryNotes((line) => terminal.note(line));
  try {
    return await terminal.working(`Waiting for run ${run.name}`, async (update) => {
      for (;;) {
        const now = await retryUntilReachable(() => executions.describe(run.arn, signal), notes, signal);
        if (now === null || !isRunning(now)) return now ?? run;
        const state = await retryUntilReachable(() => executions.lastState(run.arn), notes, signal);
        update(`Run ${run.name}: ${doing(state)}`);
        await setTimeout(POLL_MS, undefined, { signal });
      }
    });
  } catch (error) {
    if (signal.aborted) sayDetached(terminal, run.name);
    throw error;
  }
}
