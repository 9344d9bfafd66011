import { createInstances } from '../aws/instances.ts';
import type { BakeInput, BakeOutput } from '../core/images/data.ts';
import { type ScrubPorts, scrubBuilder } from '../core/images/scrub.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';
import { createCommands } from './adapters/ports.ts';

interface Input extends BakeInput {
  readonly execution: { readonly arn: string; readonly startedAt: string };
}

/** Has the builder remove all that must not be in an image, and power itself off. */
export function createScrub(ports: ScrubPorts) {
  return async (input: Input): Promise<BakeOutput> => {
    const output = await scrubBuilder(ports, input, input.execution);
    logger.info('visited the builder', { waits: output.waiting?.message ?? null });
    return output;
  };
}

export const handler = entry(
  (input: Input) => input.bake.name,
  () => {
    const instances = createInstances();
    return createScrub({ instances, commands: createCommands(instances), now: Date.now });
  },
);
