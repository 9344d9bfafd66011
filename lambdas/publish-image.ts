import { createImages } from '../aws/images.ts';
import { createInstances } from '../aws/instances.ts';
import { createParameters } from '../aws/parameters.ts';
import { createRunFiles } from '../aws/run-files.ts';
import type { BakeInput, BakeOutput } from '../core/images/data.ts';
import { describeImage } from '../core/images/describe.ts';
import { type PublishPorts, publishImage } from '../core/images/publish.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';
import { createCommands } from './adapters/ports.ts';

/** Makes the image that was tested the current one of its project, and removes older ones. */
export function createPublish(ports: PublishPorts) {
  return async ({ bake }: BakeInput): Promise<BakeOutput> => {
    const output = await publishImage(ports, bake);
    logger.info('published the image', { image: bake.image });
    return output;
  };
}

export const handler = entry(
  (input: BakeInput) => input.bake.name,
  () => {
    const instances = createInstances();
    const commands = createCommands(instances);
    return createPublish({
      images: createImages(),
      parameters: createParameters(),
      files: createRunFiles(requireEnv('uploadBucket')),
      describe: (bake, id) => describeImage({ instances, commands }, bake, id),
      now: Date.now,
    });
  },
);
