import { createImages } from '../aws/images.ts';
import { createInstances } from '../aws/instances.ts';
import type { BakeInput, BakeOutput } from '../core/images/data.ts';
import { type StartPorts, startInstance } from '../core/images/start-instance.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';

interface Input extends BakeInput {
  readonly which: 'builder' | 'tester';
}

/** Starts the builder of an image, or the instance that tests it, and waits for its SSM agent. */
export function createStartImageInstance(ports: StartPorts) {
  return async (input: Input): Promise<BakeOutput> => {
    const output = await startInstance(ports, input, input.which);
    logger.info('visited the instance', { id: output.bake[input.which], waits: output.waiting?.message ?? null });
    return output;
  };
}

export const handler = entry(
  (input: Input) => input.bake.name,
  () => createStartImageInstance({ images: createImages(), instances: createInstances(), now: Date.now }),
);
