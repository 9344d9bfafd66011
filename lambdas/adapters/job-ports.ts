import type { JobPorts } from '../../core/job/job-status.ts';
import { type CommandPorts, createCommands } from './commands.ts';
import { requireEnv } from './environment.ts';
import { createExecutions } from './executions.ts';
import { createInstances } from './instances.ts';
import { createLogStore } from './log-store.ts';

/** What every step that starts or follows a job needs. */
export function createJobPorts(): JobPorts {
  return portsWith(createInstances());
}

/** The same for a function that has patience with a silent instance, and no room for EC2's client: 35 KB of a bundle. */
export function createPatientPorts(): JobPorts {
  return portsWith(null);
}

function portsWith(instances: CommandPorts['instances']): JobPorts {
  const logs = createLogStore(requireEnv('logGroup'));
  const { hasEnded } = createExecutions(null);
  return { commands: createCommands(instances), logs, chunks: null, hasEnded, now: Date.now };
}
