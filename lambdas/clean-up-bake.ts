import { createImages } from '../aws/images.ts';
import { createInstances } from '../aws/instances.ts';
import { type CleanUpPorts, cleanUpBake } from '../core/images/clean-up.ts';
import type { CleanUpInput, CleanUpOutput } from '../core/images/data.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';

/** Of EventBridge: an execution was stopped, or timed out, and so no state of it follows. */
interface StatusEvent {
  readonly detail: { readonly name: string };
}

/** Terminates the instances of a bake that did not end well, and removes its image. */
export function createCleanUpBake(ports: CleanUpPorts) {
  return async (event: CleanUpInput | StatusEvent): Promise<CleanUpOutput> => {
    const input = 'detail' in event ? { execution: { name: event.detail.name }, failure: null } : event;
    const output = await cleanUpBake(ports, input);
    logger.info('cleaned up after the bake', { error: output.error });
    return output;
  };
}

export const handler = entry(
  (event: CleanUpInput | StatusEvent) => ('detail' in event ? event.detail.name : event.execution.name),
  () => createCleanUpBake({ images: createImages(), instances: createInstances() }),
);
