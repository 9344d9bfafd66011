import { costOfRun, heldSeconds } from '../../core/cost/instance-cost.ts';
import { estimateCost } from '../../core/outcome/cost.ts';
import type { RunFacts } from '../../core/workflow/data.ts';
import type { StateEvent, StateTime } from '../../core/workflow/history.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';

/** Dollars for runctl itself. */
export function costSoFar({ sync, install, restore, train }: RunFacts, states: readonly StateTime[]): number {
  const polls = [sync, install, restore, train].reduce((sum, step) => sum + (step?.polls ?? 0), 0);
  return estimateCost({ states: states.reduce((sum, { entered }) => sum + entered, 0), polls });
}

const WAITING: readonly (string | undefined)[] = [
  ...[RUN_STATES.sync, RUN_STATES.synced, RUN_STATES.queue],
  ...[RUN_STATES.plan, RUN_STATES.planned, RUN_STATES.returning],
];

/** Dollars for the instance of a run that lasts. null: not known, as when the beginning ends in a wait that is over. */
export function costUntilNow(
  beginning: readonly StateEvent[],
  state: string | null,
  facts: Parameters<typeof costOfRun>[0],
): number | null {
  const last = beginning.findLast(({ kind }) => kind === 'entered')?.state;
  if (WAITING.includes(last) && last !== state) return null;
  return costOfRun(facts, heldSeconds(beginning, Date.now()))?.usd ?? null;
}
