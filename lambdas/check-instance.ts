import { createInstances, type Instances } from '../aws/instances.ts';
import { RunError } from '../core/errors.ts';
import type { WatchInput } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';

/** Asks EC2 about an instance that did not answer a poll: one that runs may come back, one that does not is lost. */
export function createCheck(instances: Pick<Instances, 'find'>) {
  return async ({ instance, step }: WatchInput): Promise<{ state: string }> => {
    const [found] = await instances.find({ id: instance.id });
    if (found?.state === 'running') return { state: found.state };
    throw new RunError(
      step.job === 'train' ? 'InstanceLost' : 'InstanceNotRunning',
      `${instance.id} is ${found?.state ?? 'gone'}; the job ${step.job} was running on it.`,
    );
  };
}

export const handler = entry(
  (input: WatchInput) => input.run.id,
  () => createCheck(createInstances()),
);
