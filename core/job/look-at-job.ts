import { type ErrorName, RunError } from '../errors.ts';
import type { JobName } from '../names.ts';
import type { JobStatus } from '../protocol/messages.ts';
import type { JobStep, WatchInput } from '../workflow/data.ts';
import { LONGEST_WAIT } from '../workflow/poll-timing.ts';
import { leaveUnread } from './follow-job.ts';
import { askJob, follow, type JobPorts } from './job-steps.ts';

/** An instance that gives no answer now may give one later. */
export const SILENCE: readonly ErrorName[] = ['AgentOffline', 'AgentSilent', 'ServiceUnavailable'];
/** An instance that says nothing for this long is given up: agents come back within minutes, a reboot takes ten at most. Seconds. */
const LONGEST_SILENCE = 1_800;
/** A supervisor ends its job within a second of its time. What is not over this much later has none that works. Seconds. */
const OVERDUE = 30;

/**
 * One look at a job. A look that fails is counted and does not end the run.
 * @throws RunError `InstanceLost` after a long silence; `TrainingTimedOut` when nothing on the instance keeps to maxDuration; whatever is no silence
 */
export async function lookAtJob(
  ports: JobPorts,
  input: WatchInput,
  job: JobName,
  onSilence: (error: RunError) => void,
): Promise<JobStep> {
  const silent = (error: unknown, names: readonly string[]) => {
    if (!(error instanceof RunError) || !names.includes(error.name)) throw error;
    onSilence(error);
    return stillSilent(input, ports.now() / 1000, error.message);
  };
  const began = ports.now();
  let status: JobStatus;
  try {
    status = await askJob(ports, input, job);
  } catch (error) {
    return silent(error, SILENCE);
  }
  refuseOverdue(status, input);
  try {
    const step = await follow(ports, input, status, began);
    const confirmed = step.confirmed || step.state === 'running' || step.ok;
    return { ...step, confirmed, polls: input.step.polls + 1 };
  } catch (error) {
    // Not ServiceUnavailable: part of the log may stand in CloudWatch, and only a retry of this state reads that back.
    return silent(error, ['AgentSilent']);
  }
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

/** The supervisor keeps to maxDuration by itself; this is for one that was killed or halted. Finish run then ends the training. */
function refuseOverdue({ job, state, startedAt, now }: JobStatus, { spec }: WatchInput): void {
  if (job !== 'train' || state !== 'running' || startedAt === null) return;
  if (now - startedAt <= spec.maxDuration + spec.stopGrace + OVERDUE) return;
  throw new RunError('TrainingTimedOut', 'Training reached maxDuration, and its supervisor did not end it.');
}
