import type { JobPorts } from '../core/job/job-status.ts';
import { pollTraining } from '../core/job/poll-training.ts';
import { runStarted } from '../core/notify/progress-event.ts';
import type { JobSnapshot, WatchInput } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';
import { createJobPorts, createNotify, type Notify } from './adapters/ports.ts';

/** Polls once: the PID that Start training named is alive, or the training has finished well already. An instance that is silent now is left to the watch. */
export function createConfirm(ports: JobPorts & { readonly notify: Notify }) {
  return async (input: WatchInput): Promise<JobSnapshot> => {
    const step = await pollTraining(ports, input, {
      onSilence: (error) => logger.warn('the PID was not confirmed', error),
      onUnread: (error) => logger.warn('the metrics of the log were not read', error),
    });
    // A training that is over already is notified as ended, and not as started as well.
    if (step.confirmed && step.state === 'running') await ports.notify(runStarted(input, step));
    return step;
  };
}

export const handler = entry(
  (input: WatchInput) => input.run.id,
  () => createConfirm({ ...createJobPorts(), notify: createNotify() }),
);
