import { type JobPorts, pollJob } from '../core/job-steps.ts';
import { startedNews } from '../core/news.ts';
import type { JobInput, JobStep } from '../core/run-states.ts';
import { entry } from './adapters/entry.ts';
import { createJobPorts } from './adapters/job-ports.ts';
import { createTell, type Tell } from './adapters/tell.ts';

/** Polls once: the PID that Start training named is alive, or the training has finished well already. */
export function createConfirm(ports: JobPorts & { readonly tell: Tell }) {
  return async (input: JobInput): Promise<JobStep> => {
    const step = await pollJob(ports, input, 'train');
    // A training that is over already is told of as ended, and not as started as well.
    if (step.state === 'running') await ports.tell(startedNews(input, step));
    return { ...step, polls: step.polls + 1, confirmed: step.state === 'running' || step.ok };
  };
}

export const handler = entry(
  (input: JobInput) => input.run.id,
  () => createConfirm({ ...createJobPorts(), tell: createTell() }),
);
