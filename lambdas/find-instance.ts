import { createInstances, type Instances } from '../aws/instances.ts';
import { createPower, type Power } from '../aws/power.ts';
import { createPrices, type Prices } from '../aws/prices.ts';
import { assertAffordable } from '../core/cost/limit.ts';
import { priceMs } from '../core/cost/price.ts';
import { RunError } from '../core/errors.ts';
import { MADE_BY_BAKE } from '../core/images/names.ts';
import { nameAfterStart, powerInput, type WatchPower } from '../core/power/watch-power.ts';
import { chooseInstance, type FoundInstance, foundOf, parseSelector } from '../core/workflow/choose-instance.ts';
import type { FindInput, FindOutput, Instance } from '../core/workflow/data.ts';
import { BOOT_S, isBooting, startInstance } from '../core/workflow/start-instance.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';
import { createWatchPower } from './adapters/ports.ts';

interface Ports {
  readonly instances: Instances;
  readonly prices: Prices;
  readonly power: Pick<Power, 'start' | 'stopsAtShutdown'>;
  readonly watchPower: WatchPower;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/**
 * Finds the one Linux instance that the spec means and whose SSM agent answers, and what it costs. One that is not running is
 * started, if its tags allow that, and the state is entered again until its agent answers.
 */
export function createFind({ instances, prices, power, watchPower, now }: Ports) {
  return async ({ run, spec, starting }: FindInput): Promise<FindOutput> => {
    const found = await instances.find(parseSelector(spec.instance));
    const mayStart = starting !== undefined;
    const instance = chooseInstance(found, spec.instance, spec, { mayStart });
    const one = foundOf(found, instance);
    const isRunning = one.state === 'running';
    const mayWait = mayStart && instance.managed === true;
    const [ping, price] = await Promise.all([
      isRunning ? instances.ping(instance.id, one.startedAt) : null,
      prices.priceOf(one.priced, priceMs(spec)),
    ]);
    // Before an instance is started for it, too.
    if (ping === 'Online' || starting === null) assertAffordable(spec, instance, price);
    if (ping === 'Online') return { ...instance, price, ...(await mayShutDown({ power }, instance, one)) };
    if (!isRunning || (mayWait && isBooting(one, now()))) {
      const start = async (id: string) => {
        // First of all: whatever becomes of this run, the instance is stopped again.
        const input = powerInput({ run, spec, instance });
        if (input !== null) await watchPower(nameAfterStart(run, now() / 1_000), { ...input, wait: BOOT_S });
        return await power.start(id);
      };
      const next = await startInstance({ start, now }, one, spec, starting ?? null);
      logger.info('waits for the instance', { ...next });
      return { starting: next };
    }
    throw new RunError(
      'AgentOffline',
      `The SSM agent of ${instance.id} is not online (${ping ?? 'SSM does not know the instance'}).`,
    );
  };
}

/** Of one that is managed, or that a bake made. Not known: then nothing shuts it down from inside. */
async function mayShutDown(
  { power }: Pick<Ports, 'power'>,
  { id, managed }: Instance,
  { tags }: FoundInstance,
): Promise<{ mayShutDown?: true }> {
  if (!managed && tags[MADE_BY_BAKE.key] !== MADE_BY_BAKE.value) return {};
  try {
    return (await power.stopsAtShutdown(id)) ? { mayShutDown: true } : {};
  } catch (error) {
    logger.warn('the shutdown behavior of the instance could not be read', error as Error);
    return {};
  }
}

export const handler = entry(
  (input: FindInput) => input.run.id,
  () =>
    createFind({
      instances: createInstances(),
      power: createPower(),
      watchPower: createWatchPower(),
      prices: createPrices((message, error) => logger.warn(message, error)),
      now: Date.now,
    }),
);
