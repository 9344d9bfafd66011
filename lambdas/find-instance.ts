import { createInstances, type Instances } from '../aws/instances.ts';
import { RunError } from '../core/errors.ts';
import { chooseInstance, parseSelector } from '../core/workflow/choose-instance.ts';
import type { FindInput, Instance } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';

/** Finds the one running Linux instance that the spec means and whose SSM agent answers. */
export function createFind(instances: Instances) {
  return async ({ spec }: FindInput): Promise<Instance> => {
    const found = await instances.find(parseSelector(spec.instance));
    const instance = chooseInstance(found, spec.instance, spec);
    const ping = await instances.ping(instance.id);
    if (ping !== 'Online') {
      throw new RunError(
        'AgentOffline',
        `The SSM agent of ${instance.id} is not online (${ping ?? 'SSM does not know the instance'}).`,
      );
    }
    return instance;
  };
}

export const handler = entry(
  (input: FindInput) => input.run.id,
  () => createFind(createInstances()),
);
