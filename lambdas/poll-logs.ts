import { createCheckpointStore } from '../aws/checkpoint-store.ts';
import type { Measure } from '../aws/metrics.ts';
import { createRunFiles } from '../aws/run-files.ts';
import type { JobPorts } from '../core/job/job-status.ts';
import { pollJob } from '../core/job/poll-job.ts';
import { pollTraining } from '../core/job/poll-training.ts';
import { headlineMetrics, pollMetrics } from '../core/notify/metrics.ts';
import type { JobSnapshot, WatchInput } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';
import { createJobPorts, createQuietMeasure } from './adapters/ports.ts';

/** Polls a job once. After a poll without an answer the machine checks whether the instance still runs. */
export function createPoll(ports: JobPorts) {
  return (input: WatchInput): Promise<JobSnapshot> =>
    pollJob(ports, input, input.step.job, (error) => logger.warn('the poll failed', error));
}

/** The same of a training, with the latest values of its metrics. */
export function createPollWithLatest(ports: JobPorts) {
  return (input: WatchInput): Promise<JobSnapshot> => {
    if (input.step.job !== 'train') return createPoll(ports)(input);
    return pollTraining(ports, input, {
      onSilence: (error) => logger.warn('the poll failed', error),
      onUnread: (error) => logger.warn('the metrics of the log were not read', error),
    });
  };
}

/** Writes metrics of a poll. */
export function withMetrics(poll: ReturnType<typeof createPoll>, measure: Measure, now: () => number): typeof poll {
  return async (input) => {
    const step = await poll(input);
    await measure([...pollMetrics(input.step, step, now()), ...headlineMetrics(input.spec, input.step, step)]);
    return step;
  };
}

export const handler = entry(
  (input: WatchInput) => input.run.id,
  () => {
    const bucket = requireEnv('uploadBucket');
    const ports = {
      ...createJobPorts(),
      chunks: createRunFiles(bucket),
      checkpoints: createCheckpointStore(bucket),
      onCheckpointError: (error: Error) => logger.warn('a checkpoint was not committed', error),
    };
    return withMetrics(createPollWithLatest(ports), createQuietMeasure(), Date.now);
  },
);
