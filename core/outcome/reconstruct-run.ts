import { watchName } from '../names.ts';
import type { JobSnapshot, RunFacts } from '../workflow/data.ts';
import { readRun, readWatch, type StateEvent } from '../workflow/history.ts';
import { WATCH_STATES } from '../workflow/states.ts';

/** An execution that did not come to its end. */
export interface ReconstructedRun {
  readonly facts: RunFacts;
  /** ARN of the nested watch that was under way, or null. */
  readonly watch: string | null;
  /** The states of the execution, oldest first. */
  readonly events: readonly StateEvent[];
}

interface Watches {
  describe(arn: string): Promise<{ readonly input: string | null } | null>;
  lastOutput(arn: string, state: string): Promise<string | null>;
}

interface Histories extends Watches {
  history(arn: string, options: { data: boolean }): Promise<StateEvent[]>;
}

interface Execution {
  readonly arn: string;
  readonly error: string | null;
  readonly cause: string | null;
  readonly status: string;
}

/** Gathers from the histories of an execution and of its nested watch what it knew when it ended. */
export async function reconstructRun(
  executions: Histories,
  execution: Execution,
  watchMachineArn: string,
): Promise<ReconstructedRun> {
  const events = await executions.history(execution.arn, { data: true });
  const found = readRun(events);
  const { verified, instance, watching } = found;
  const steps = { sync: found.sync, install: found.install, restore: found.restore, train: found.train };
  const watch = verified && watching ? watchArn(watchMachineArn, verified.run.key, found.watches) : null;
  if (watch && watching) steps[watching] = (await lastSnapshot(executions, watch)) ?? steps[watching];
  return {
    watch,
    events,
    facts: {
      run: verified?.run ?? null,
      spec: verified?.spec ?? null,
      archive: verified?.archive ?? null,
      instance,
      warnings: verified?.warnings ?? [],
      ...steps,
      attempts: found.attempts,
      failure:
        execution.status === 'FAILED'
          ? { Error: execution.error ?? 'Unknown', Cause: execution.cause ?? '', state: 'The run' }
          : null,
    },
  };
}

export function watchArn(watchMachineArn: string, runKey: string, count: number): string {
  return `${watchMachineArn.replace(':stateMachine:', ':execution:')}:${watchName(runKey, count)}`;
}

/** How far a nested watch came that did not hand over; null when there is none. */
export async function lastSnapshot(executions: Watches, watch: string): Promise<JobSnapshot | null> {
  const execution = await executions.describe(watch);
  return execution && readWatch(await executions.lastOutput(watch, WATCH_STATES.poll), execution.input);
}
