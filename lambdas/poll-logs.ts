import type { Measure } from '../aws/metrics.ts';
import { createRunFiles } from '../aws/run-files.ts';
import type { JobPorts } from '../core/job/job-status.ts';
import { pollJob } from '../core/job/poll-job.ts';
import { NO_METRICS, updateLatest } from '../core/metrics/latest.ts';
import { pollMetrics } from '../core/notify/metrics.ts';
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

/** How long a poll may read metrics, ms: its log is in CloudWatch by then, and the next poll waits for it. */
const METRICS_MS = 150;

/** Keeps the latest values of the training's metrics in the snapshot, read from the log that the poll has sent. */
export function createPollWithLatest(ports: JobPorts): ReturnType<typeof createPoll> {
  return async (input) => {
    if (input.step.job !== 'train') return createPoll(ports)(input);
    const sent: string[] = [];
    const logs: JobPorts['logs'] = {
      put: async (stream, messages, time) => {
        await ports.logs.put(stream, messages, time);
        for (const message of messages) sent.push(message);
      },
      after: (stream, time) => ports.logs.after(stream, time),
    };
    const snapshot = await createPoll({ ...ports, logs })(input);
    return { ...snapshot, metrics: latestOf(input, sent, ports.now) };
  };
}

function latestOf({ step, context }: WatchInput, sent: readonly string[], now: () => number) {
  const before = step.metrics ?? { ...NO_METRICS, isMidLine: step.cursor.offset > 0 };
  // An attempt before this one may have sent the beginning of a line.
  const isRetry = context.retryCount > 0 || step.cursor.unsettled !== undefined;
  const end = now() + METRICS_MS;
  try {
    return updateLatest(isRetry ? { ...before, isMidLine: true } : before, sent, () => now() > end);
  } catch (error) {
    logger.warn('the metrics of the log were not read', error as Error);
    return before;
  }
}

/** Writes metrics of a poll. */
export function withMetrics(poll: ReturnType<typeof createPoll>, measure: Measure, now: () => number): typeof poll {
  return async (input) => {
    const step = await poll(input);
    await measure(pollMetrics(input.step, step, now()));
    return step;
  };
}

export const handler = entry(
  (input: WatchInput) => input.run.id,
  () => {
    const chunks = createRunFiles(requireEnv('uploadBucket'));
    return withMetrics(createPollWithLatest({ ...createJobPorts(), chunks }), createQuietMeasure(), Date.now);
  },
);
