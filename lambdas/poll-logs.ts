import { RunError } from '../core/errors.ts';
import { UnreadableAnswer } from '../core/job-protocol.ts';
import { type JobPorts, pollJob } from '../core/job-steps.ts';
import { LONGEST_WAIT } from '../core/poll-timing.ts';
import type { JobStep, WatchInput } from '../core/run-states.ts';
import { entry } from './adapters/entry.ts';
import { createJobPorts } from './adapters/job-ports.ts';
import { logger } from './adapters/logger.ts';

/** An instance that says nothing for this long is given up: agents come back within minutes, a reboot takes ten at most. Seconds. */
const LONGEST_SILENCE = 1_800;
const SILENCE = ['AgentOffline', 'AgentSilent', 'ServiceUnavailable'];

/** One look at a job. A look that fails is counted and does not end the run: the machine then asks whether the instance still runs. */
export function createPoll(ports: JobPorts) {
  return async (input: WatchInput): Promise<JobStep> => {
    try {
      return await pollJob(ports, input, input.step.job);
    } catch (error) {
      const silent = error instanceof UnreadableAnswer || (error instanceof RunError && SILENCE.includes(error.name));
      if (!silent) throw error;
      logger.warn('the poll failed', error);
      return stillSilent(input, ports.now() / 1000, error.message);
    }
  };
}

function stillSilent({ instance, step }: WatchInput, now: number, message: string): JobStep {
  const silentSince = step.silentSince ?? now;
  if (now - silentSince > LONGEST_SILENCE) {
    throw new RunError(
      'InstanceLost',
      `${instance.id} has not answered for ${LONGEST_SILENCE / 60} minutes: ${message}`,
    );
  }
  return { ...step, silentSince, pollFailures: step.pollFailures + 1, more: false, wait: LONGEST_WAIT };
}

export const handler = entry(
  (input: WatchInput) => input.run.id,
  () => createPoll(createJobPorts()),
);
