import { createCheckpointStore } from '../aws/checkpoint-store.ts';
import { createExecutions, type Executions } from '../aws/executions.ts';
import { createInstances } from '../aws/instances.ts';
import { createPrices } from '../aws/prices.ts';
import { type PlanPorts, planAttempt } from '../core/attempts/plan-attempt.ts';
import { progressOf } from '../core/checkpoints/progress.ts';
import { interruptionKey } from '../core/names.ts';
import { readFailure } from '../core/outcome/decide-outcome.ts';
import { wholeFailure, withLastPoll } from '../core/outcome/failed-watch.ts';
import { type SpotNotice, spotNotice } from '../core/protocol/answers.ts';
import type { JobSnapshot, PlanInput, PlanOutput } from '../core/workflow/data.ts';
import { WATCHES } from '../core/workflow/states.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';

interface Ports extends PlanPorts {
  readonly executions: Pick<Executions, 'describe' | 'lastOutput'>;
  readonly watchMachineArn: string;
  /** What EC2 has announced of an instance; null: nothing. */
  readonly interruptionOf: (instanceId: string) => Promise<SpotNotice | null>;
}

/** Decides after an attempt that did not end well whether there is another one, and finds its instance and its checkpoint. */
export function createPlan(ports: Ports) {
  return async (given: PlanInput): Promise<PlanOutput> => {
    const { executions, watchMachineArn } = ports;
    const failure = await wholeFailure(executions, watchMachineArn, given, (error) =>
      logger.warn('the nested watch could not be described', error),
    );
    const input = await withNotice(await withLastPoll(executions, watchMachineArn, { ...given, failure }));
    const plan = await planAttempt(ports, input);
    logger.info('planned', { next: plan.next, attempt: plan.run?.attempt ?? 1, wait: plan.wait, why: plan.why });
    const warnings = plan.why === null ? given.warnings : [...given.warnings, plan.why];
    // What the failed watch had reached: the next one begins there, and Finish run reads it.
    const { sync, install, restore, train } = plan.next === 'attempt' ? NOTHING : input;
    const goesOn = plan.next === 'attempt' || plan.next === 'start' || plan.next === 'watch';
    // The name of a nested watch is used once.
    const watches = goesOn && WATCH_STATE_NAMES.has(failure?.state ?? '') ? given.watches + 1 : given.watches;
    const jobs = { sync, install, restore, train: plan.next === 'watch' && train ? asAnswering(train) : train };
    const heldSince = heldFrom(given, plan.next, ports.now());
    return { plan, heldSince, warnings, ...jobs, failure: goesOn ? null : failure, watches };
  };

  /** With EC2's notice, of a training whose instance was lost before a poll could tell. */
  async function withNotice(input: PlanInput): Promise<PlanInput> {
    const { run, instance, train, failure } = input;
    const isLost = failure !== null && readFailure(failure).name === 'InstanceLost';
    if (!run || !instance || !train || !isLost || train.checkpoints?.notice) return input;
    const notice = await ports.interruptionOf(instance.id);
    // An instance that was stopped and started again may have an older one.
    if (notice === null || notice.time * 1_000 < Date.parse(run.startedAt)) return input;
    return { ...input, train: { ...train, checkpoints: { ...progressOf({ run, step: train }), notice } } };
  }
}

/** Since when the attempt has had its instance, without the time in which that was away (core/cost/instance-cost.ts counts alike). */
function heldFrom({ heldSince, plan }: PlanInput, next: PlanOutput['plan']['next'], now: number): string | null {
  if (!heldSince || next === 'attempt') return null; // Sync code of the next attempt sets it anew.
  // A training that is watched further ran meanwhile.
  if (next !== 'start' || !plan?.since) return heldSince;
  return new Date(Date.parse(heldSince) + now - plan.since * 1_000).toISOString();
}

/**
 * Its instance is online again: a silence counts from now on. The state that failed may have shipped log that its snapshot does not
 * know: the next one reads back what is there.
 */
function asAnswering(train: JobSnapshot): JobSnapshot {
  const { cursor } = train;
  return { ...train, silentSince: null, cursor: { ...cursor, unsettled: cursor.unsettled ?? 0 } };
}

/** null: there is none, or it is not one of this version. */
export function readNotice(text: string): SpotNotice | null {
  try {
    return spotNotice.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

const WATCH_STATE_NAMES = new Set<string>(Object.values(WATCHES));
const NOTHING = { sync: null, install: null, restore: null, train: null };

export const handler = entry(
  (input: PlanInput) => input.execution.name,
  () => {
    const checkpoints = createCheckpointStore(requireEnv('uploadBucket'));
    return createPlan({
      checkpoints,
      interruptionOf: async (id) => readNotice((await checkpoints.read(interruptionKey(id)))?.text ?? ''),
      executions: createExecutions(),
      instances: createInstances(),
      prices: createPrices((message, error) => logger.warn(message, error)),
      now: Date.now,
      watchMachineArn: requireEnv('watchMachineArn'),
    });
  },
);
