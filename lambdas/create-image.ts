import { createImages } from '../aws/images.ts';
import { type CreatePorts, createImage } from '../core/images/create.ts';
import type { BakeInput, BakeOutput } from '../core/images/data.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';

/** Makes an image of the stopped builder, and waits until it can be used. */
export function createImageStep(ports: CreatePorts) {
  return async (input: BakeInput): Promise<BakeOutput> => {
    const output = await createImage(ports, input);
    logger.info('visited the image', { image: output.bake.image, waits: output.waiting?.message ?? null });
    return output;
  };
}

export const handler = entry(
  (input: BakeInput) => input.bake.name,
  () => createImageStep({ images: createImages(), now: Date.now }),
);
