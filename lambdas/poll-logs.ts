import { RunError } from '../core/errors.ts';
import { leaveUnread } from '../core/follow-job.ts';
import type { JobStatus } from '../core/job-protocol.ts';
import { askJob, follow, type JobPorts } from '../core/job-steps.ts';
import { LONGEST_WAIT } from '../core/poll-timing.ts';
import type { JobStep, WatchInput } from '../core/run-states.ts';
import { entry } from './adapters/entry.ts';
import { createJobPorts } from './adapters/job-ports.ts';
import { logger } from './adapters/logger.ts';
import { createRunFiles } from './adapters/run-files.ts';

/** An instance that says nothing for this long is given up: agents come back within minutes, a reboot takes ten at most. Seconds. */
const LONGEST_SILENCE = 1_800;
const SILENCE = ['AgentOffline', 'AgentSilent', 'ServiceUnavailable'];

/** One look at a job. A look that fails is counted and does not end the run: the machine then asks whether the instance still runs. */
export function createPoll(ports: JobPorts) {
  return async (input: WatchInput): Promise<JobStep> => {
    const silent = (error: unknown, names: readonly string[]) => {
      if (!(error instanceof RunError) || !names.includes(error.name)) throw error;
      logger.warn('the poll failed', error);
      return stillSilent(input, ports.now() / 1000, error.message);
    };
    const began = ports.now();
    let status: JobStatus;
    try {
      status = await askJob(ports, input, input.step.job);
    } catch (error) {
      return silent(error, SILENCE);
    }
    try {
      const step = await follow(ports, input, status, began);
      return { ...step, polls: input.step.polls + 1 };
    } catch (error) {
      // Not ServiceUnavailable: part of the log may stand in CloudWatch, and only a retry of this state reads that back.
      return silent(error, ['AgentSilent']);
    }
  };
}

function stillSilent({ instance, step, context }: WatchInput, now: number, message: string): JobStep {
  const silentSince = step.silentSince ?? now;
  if (now - silentSince > LONGEST_SILENCE) {
    throw new RunError(
      'InstanceLost',
      `${instance.id} has not answered for ${LONGEST_SILENCE / 60} minutes: ${message}`,
    );
  }
  const cursor = leaveUnread(step.cursor, context);
  const counted = { polls: step.polls + 1, pollFailures: step.pollFailures + 1 };
  return { ...step, cursor, silentSince, more: false, wait: LONGEST_WAIT, ...counted };
}

export const handler = entry(
  (input: WatchInput) => input.run.id,
  () => createPoll({ ...createJobPorts(), pieces: createRunFiles() }),
);
