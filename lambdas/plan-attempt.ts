import { createCheckpointStore } from '../aws/checkpoint-store.ts';
import { createExecutions, type Executions } from '../aws/executions.ts';
import { createInstances } from '../aws/instances.ts';
import { type PlanPorts, planAttempt } from '../core/attempts/plan-attempt.ts';
import { wholeFailure, withLastPoll } from '../core/outcome/failed-watch.ts';
import type { PlanInput, PlanOutput } from '../core/workflow/data.ts';
import { WATCHES } from '../core/workflow/states.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';

interface Ports extends PlanPorts {
  readonly executions: Pick<Executions, 'describe' | 'lastOutput'>;
  readonly watchMachineArn: string;
}

/** Decides after an attempt that did not end well whether there is another one, and finds its instance and its checkpoint. */
export function createPlan(ports: Ports) {
  return async (given: PlanInput): Promise<PlanOutput> => {
    const { executions, watchMachineArn } = ports;
    const failure = await wholeFailure(executions, watchMachineArn, given, (error) =>
      logger.warn('the nested watch could not be described', error),
    );
    const input = await withLastPoll(executions, watchMachineArn, { ...given, failure });
    const plan = await planAttempt(ports, input);
    logger.info('planned', { next: plan.next, attempt: plan.run?.attempt ?? 1, wait: plan.wait, why: plan.why });
    const warnings = plan.why === null ? given.warnings : [...given.warnings, plan.why];
    // What the failed watch had reached: the next one begins there, and Finish run reads it.
    const { sync, install, restore, train } = plan.next === 'attempt' ? NOTHING : input;
    const goesOn = plan.next === 'attempt' || plan.next === 'watch';
    // The name of a nested watch is used once.
    const watches = goesOn && WATCH_STATE_NAMES.has(failure?.state ?? '') ? given.watches + 1 : given.watches;
    return { plan, warnings, sync, install, restore, train, failure: goesOn ? null : failure, watches };
  };
}

const WATCH_STATE_NAMES = new Set<string>(Object.values(WATCHES));
const NOTHING = { sync: null, install: null, restore: null, train: null };

export const handler = entry(
  (input: PlanInput) => input.execution.name,
  () =>
    createPlan({
      checkpoints: createCheckpointStore(requireEnv('uploadBucket')),
      executions: createExecutions(),
      instances: createInstances(),
      now: Date.now,
      watchMachineArn: requireEnv('watchMachineArn'),
    }),
);
