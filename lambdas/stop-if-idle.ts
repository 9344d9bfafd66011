import { createInstances } from '../aws/instances.ts';
import { createPower } from '../aws/power.ts';
import { type StopPorts, stopIfIdle } from '../core/power/stop-idle.ts';
import type { StopIdleInput, StopIdleOutput } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';
import { createCommands } from './adapters/ports.ts';

/** Stops a managed instance that nobody uses; else says when to look again. */
export function createStopIfIdle(ports: StopPorts) {
  return async (input: StopIdleInput): Promise<StopIdleOutput> => {
    const output = await stopIfIdle(ports, input);
    logger.info('looked at the instance', { ...output });
    return output;
  };
}

export const handler = entry(
  (input: StopIdleInput) => input.run.id,
  () => {
    const instances = createInstances();
    const power = createPower();
    return createStopIfIdle({
      instances,
      commands: createCommands(instances),
      stop: (id) => power.stop(id),
      now: Date.now,
    });
  },
);
