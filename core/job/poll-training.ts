import type { RunError } from '../errors.ts';
import type { JobSnapshot, WatchInput } from '../workflow/data.ts';
import type { JobPorts } from './job-status.ts';
import { withLatestMetrics } from './latest-metrics.ts';
import { pollJob } from './poll-job.ts';

export interface PollTroubles {
  readonly onSilence: (error: RunError) => void;
  /** The metrics of the log that was sent were not read; the values before stay. */
  readonly onUnread: (error: Error) => void;
}

/** Polls a training once, and keeps the latest values of its metrics in the snapshot, read from the log that the poll has sent. */
export function pollTraining(
  ports: JobPorts,
  input: WatchInput,
  { onSilence, onUnread }: PollTroubles,
): Promise<JobSnapshot> {
  return withLatestMetrics(ports, input, (recording) => pollJob(recording, input, 'train', onSilence), onUnread);
}
