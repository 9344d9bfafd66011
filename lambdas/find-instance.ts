import { createInstances, type Instances } from '../aws/instances.ts';
import { createPrices, type Prices } from '../aws/prices.ts';
import { assertAffordable } from '../core/cost/limit.ts';
import { priceMs } from '../core/cost/price.ts';
import { RunError } from '../core/errors.ts';
import { chooseInstance, parseSelector, pricedOf } from '../core/workflow/choose-instance.ts';
import type { FindInput, Instance } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';

/** Finds the one running Linux instance that the spec means and whose SSM agent answers, and what it costs. */
export function createFind(instances: Instances, prices: Prices) {
  return async ({ spec }: FindInput): Promise<Instance> => {
    const found = await instances.find(parseSelector(spec.instance));
    const instance = chooseInstance(found, spec.instance, spec);
    const [ping, price] = await Promise.all([
      instances.ping(instance.id),
      prices.priceOf(pricedOf(found, instance), priceMs(spec)),
    ]);
    if (ping !== 'Online') {
      throw new RunError(
        'AgentOffline',
        `The SSM agent of ${instance.id} is not online (${ping ?? 'SSM does not know the instance'}).`,
      );
    }
    assertAffordable(spec, instance, price);
    return { ...instance, price };
  };
}

export const handler = entry(
  (input: FindInput) => input.run.id,
  () =>
    createFind(
      createInstances(),
      createPrices((message, error) => logger.warn(message, error)),
    ),
);
