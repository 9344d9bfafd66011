import type { RunError } from '../errors.ts';
import { NO_METRICS, updateLatest } from '../metrics/latest.ts';
import type { JobSnapshot, WatchInput } from '../workflow/data.ts';
import type { JobPorts } from './job-status.ts';
import { pollJob } from './poll-job.ts';

/** How long a poll may read metrics, ms: its log is in CloudWatch by then, and the next poll waits for it. */
const METRICS_MS = 150;

export interface PollTroubles {
  readonly onSilence: (error: RunError) => void;
  /** The metrics of the log that was sent were not read; the values before stay. */
  readonly onUnread: (error: Error) => void;
}

/** Polls a training once, and keeps the latest values of its metrics in the snapshot, read from the log that the poll has sent. */
export async function pollTraining(
  ports: JobPorts,
  input: WatchInput,
  { onSilence, onUnread }: PollTroubles,
): Promise<JobSnapshot> {
  const sent: string[] = [];
  const logs: JobPorts['logs'] = {
    put: async (stream, messages, time) => {
      await ports.logs.put(stream, messages, time);
      for (const message of messages) sent.push(message);
    },
    after: (stream, time) => ports.logs.after(stream, time),
  };
  const snapshot = await pollJob({ ...ports, logs }, input, 'train', onSilence);
  return { ...snapshot, metrics: latestOf(input, sent, ports.now, onUnread) };
}

function latestOf(
  { step, context }: WatchInput,
  sent: readonly string[],
  now: () => number,
  onUnread: PollTroubles['onUnread'],
) {
  const before = step.metrics ?? { ...NO_METRICS, isMidLine: step.cursor.offset > 0 };
  // An attempt before this one may have sent the beginning of a line.
  const isRetry = context.retryCount > 0 || step.cursor.unsettled !== undefined;
  const end = now() + METRICS_MS;
  try {
    return updateLatest(isRetry ? { ...before, isMidLine: true } : before, sent, () => now() > end);
  } catch (error) {
    onUnread(error as Error);
    return before;
  }
}
