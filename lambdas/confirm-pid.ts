import { type JobPorts, pollJob } from '../core/job-steps.ts';
import type { JobInput, JobStep } from '../core/run-states.ts';
import { entry } from './adapters/entry.ts';
import { createJobPorts } from './adapters/job-ports.ts';

/** Polls once: the PID that Start training named is alive, or the training has finished well already. */
export function createConfirm(ports: JobPorts) {
  return async (input: JobInput): Promise<JobStep> => {
    const step = await pollJob(ports, input, 'train');
    return { ...step, polls: step.polls + 1, confirmed: step.state === 'running' || step.ok };
  };
}

export const handler = entry(
  (input: JobInput) => input.run.id,
  () => createConfirm(createJobPorts()),
);
