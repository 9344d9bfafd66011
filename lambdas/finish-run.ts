import { decideOutcome } from '../core/decide-outcome.ts';
import { accept, type InstanceCommands, requestBase } from '../core/instance-commands.ts';
import type { FinishInput, FinishOutput } from '../core/run-states.ts';
import { createCommands } from './adapters/commands.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';

/** Releases the instance and says how the run ended. Nothing that fails here changes what the markers said. */
export function createFinish(commands: InstanceCommands) {
  return async (input: FinishInput): Promise<FinishOutput> => {
    const warning = await release(input);
    return decideOutcome({ ...input, warnings: [...input.warnings, ...(warning === null ? [] : [warning])] });
  };

  async function release({ run, instance, spec }: FinishInput): Promise<string | null> {
    if (!run || !instance || !spec) return null; // The instance was never touched.
    const request = {
      ...requestBase({ run, instance, project: spec.project, user: spec.user }),
      verb: 'release',
    } as const;
    try {
      // With the runner in it: Sync code may have failed before the runner was there.
      accept(await commands.ask(instance.id, 'prepare', request));
      return null;
    } catch (error) {
      logger.error('the lease was not released', error as Error);
      return `The instance's lease was not released (${(error as Error).message}); the next run clears it.`;
    }
  }
}

export const handler = entry(
  (input: FinishInput) => input.run?.id ?? 'unknown',
  () => createFinish(createCommands()),
);
