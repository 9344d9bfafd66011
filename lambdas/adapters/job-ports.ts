import type { JobPorts } from '../../core/job-steps.ts';
import { createCommands } from './commands.ts';
import { requireEnv } from './environment.ts';
import { createLogStore } from './log-store.ts';

/** What every step that starts a job needs. */
export function createJobPorts(): JobPorts {
  return { commands: createCommands(), logs: createLogStore(requireEnv('logGroup')), pieces: null, now: Date.now };
}
