import { createInstances, type Instances } from '../aws/instances.ts';
import { createPrices, type Prices } from '../aws/prices.ts';
import { assertAffordable } from '../core/cost/limit.ts';
import type { PricedInstance } from '../core/cost/price.ts';
import { RunError } from '../core/errors.ts';
import { chooseInstance, parseSelector } from '../core/workflow/choose-instance.ts';
import type { FindInput, Instance } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';

/** How long a price may take, ms: a run that has a cap needs it, any other shows it. */
const NEEDED_MS = 10_000;
const SHOWN_MS = 2_000;

/** Finds the one running Linux instance that the spec means and whose SSM agent answers, and what it costs. */
export function createFind(instances: Instances, prices: Prices) {
  return async ({ spec }: FindInput): Promise<Instance> => {
    const found = await instances.find(parseSelector(spec.instance));
    const instance = chooseInstance(found, spec.instance, spec);
    const { priced } = found.find(({ id }) => id === instance.id) as { priced: PricedInstance };
    const [ping, price] = await Promise.all([
      instances.ping(instance.id),
      prices.priceOf(priced, spec.maxCost ? NEEDED_MS : SHOWN_MS),
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
