import { RunError } from '../core/errors.ts';
import { UnreadableAnswer } from '../core/job-protocol.ts';
import { type JobPorts, pollJob } from '../core/job-steps.ts';
import { LONGEST_WAIT } from '../core/poll-timing.ts';
import type { JobStep, WatchInput } from '../core/run-states.ts';
import { entry } from './adapters/entry.ts';
import { createInstances, type Instances } from './adapters/instances.ts';
import { createJobPorts } from './adapters/job-ports.ts';
import { logger } from './adapters/logger.ts';

/** An instance that runs but says nothing for this long is given up: agents come back within minutes, a reboot takes ten at most. */
const LONGEST_SILENCE = 1_800;
const SILENCE = ['AgentOffline', 'AgentSilent', 'ServiceUnavailable'];

/** One look at a job. A poll that fails is counted and does not end the run, unless the instance is gone. */
export function createPoll(ports: JobPorts, instances: Pick<Instances, 'find'>) {
  return async (input: WatchInput): Promise<JobStep> => {
    try {
      return await pollJob(ports, input, input.step.job);
    } catch (error) {
      const silent = error instanceof UnreadableAnswer || (error instanceof RunError && SILENCE.includes(error.name));
      if (!silent) throw error;
      logger.warn('the poll failed', error as Error);
      return stillSilent(input, error.message);
    }
  };

  async function stillSilent({ instance, step }: WatchInput, message: string): Promise<JobStep> {
    const [found] = await instances.find({ id: instance.id });
    if (found?.state !== 'running') {
      throw new RunError('InstanceLost', `${instance.id} is ${found?.state ?? 'gone'} while ${step.job} was running.`);
    }
    const now = ports.now() / 1000;
    const silentSince = step.silentSince ?? now;
    if (now - silentSince > LONGEST_SILENCE) {
      throw new RunError(
        'InstanceLost',
        `${instance.id} has not answered for ${LONGEST_SILENCE / 60} minutes: ${message}`,
      );
    }
    return { ...step, silentSince, pollFailures: step.pollFailures + 1, more: false, wait: LONGEST_WAIT };
  }
}

export const handler = entry(
  (input: WatchInput) => input.run.id,
  () => createPoll(createJobPorts(), createInstances()),
);
