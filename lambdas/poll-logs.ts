import type { JobPorts } from '../core/job/job-status.ts';
import { pollJob } from '../core/job/poll-job.ts';
import { lookMetrics } from '../core/notify/metrics.ts';
import type { JobSnapshot, WatchInput } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { createJobPorts } from './adapters/job-ports.ts';
import { logger } from './adapters/logger.ts';
import { createQuietMeasure, type Measure } from './adapters/metrics.ts';
import { createRunFiles } from './adapters/run-files.ts';

/** One look at a job. After one that failed the machine asks whether the instance still runs. */
export function createPoll(ports: JobPorts) {
  return (input: WatchInput): Promise<JobSnapshot> =>
    pollJob(ports, input, input.step.job, (error) => logger.warn('the poll failed', error));
}

/** Measures what a look found. */
export function withMetrics(poll: ReturnType<typeof createPoll>, measure: Measure, now: () => number): typeof poll {
  return async (input) => {
    const step = await poll(input);
    await measure(lookMetrics(input.step, step, now()));
    return step;
  };
}

export const handler = entry(
  (input: WatchInput) => input.run.id,
  () => withMetrics(createPoll({ ...createJobPorts(), chunks: createRunFiles() }), createQuietMeasure(), Date.now),
);
