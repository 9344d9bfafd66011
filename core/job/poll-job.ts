import { COMMIT_MS, commitCheckpoints } from '../checkpoints/commit.ts';
import { drain, progressOf } from '../checkpoints/progress.ts';
import { cappedMessage, trainingLimit } from '../cost/limit.ts';
import { type ErrorName, RunError } from '../errors.ts';
import type { JobName } from '../names.ts';
import type { JobStatus } from '../protocol/answers.ts';
import type { JobSnapshot, WatchInput } from '../workflow/data.ts';
import { LONGEST_WAIT, waitForCheckpoint } from '../workflow/poll-timing.ts';
import { type JobPorts, requestJobStatus, tryToKeep } from './job-status.ts';
import { keepEnvironment, withKnownEnvironment } from './keep-environment.ts';
import { shipLog } from './ship-log.ts';
import { keepUnsettled } from './shipping-attempt.ts';

/** An instance that gives no answer now may give one later. */
export const SILENCE: readonly ErrorName[] = ['AgentOffline', 'AgentSilent', 'ServiceUnavailable'];
/** An instance that does not answer for this long is given up: agents return within minutes, a reboot takes ten at most. */
const LONGEST_SILENCE_S = 1_800;
/** A supervisor ends its job within a second of its time. A job that runs this much longer has none that works. */
const OVERDUE_S = 30;

/**
 * Polls a job once: requests its status and ships its log. A poll without an answer is counted and does not end the run.
 * @throws RunError `InstanceLost` after a long silence; `TrainingTimedOut` or `CostCapped` when nothing on the instance keeps to the time limit; any other error than a silence
 */
export async function pollJob(
  ports: JobPorts,
  given: WatchInput,
  job: JobName,
  onSilence: (error: RunError) => void,
): Promise<JobSnapshot> {
  const input = await withKnownEnvironment(ports, given);
  const countSilence = (error: unknown, names: readonly string[]) => {
    if (!(error instanceof RunError) || !names.includes(error.name)) throw error;
    onSilence(error);
    return stillSilent(input, ports.now() / 1000, error.message);
  };
  const began = ports.now();
  let status: JobStatus;
  try {
    status = await requestJobStatus(ports, input, job);
  } catch (error) {
    return countSilence(error, SILENCE);
  }
  refuseOverdue(status, input);
  try {
    const snapshot = await shipLog(ports, input, status, began);
    const confirmed = snapshot.confirmed || snapshot.state === 'running' || snapshot.ok;
    const polled = { ...snapshot, confirmed, polls: input.step.polls + 1 };
    const kept = await withCheckpoints(ports, input, status, polled);
    const environment = await keepEnvironment(ports, input, status);
    return environment ? { ...kept, environment } : kept;
  } catch (error) {
    // Not ServiceUnavailable: CloudWatch may have part of the log, and only a retry of this state reads that back.
    return countSilence(error, ['AgentSilent']);
  }
}

/** Seconds until the next poll of a training that has ended, while its last checkpoints are sent. */
const DRAIN_WAIT_S = 3;

/** Commits what the instance has sent. A run does not fail because its checkpoints cannot be committed: the next poll tries again. */
async function withCheckpoints(
  ports: JobPorts,
  input: WatchInput,
  status: JobStatus,
  snapshot: JobSnapshot,
): Promise<JobSnapshot> {
  const report = status.checkpoints;
  const before = input.step.checkpoints;
  if (!ports.checkpoints || report === null) return before ? { ...snapshot, checkpoints: before } : snapshot;
  const progress = await tryToKeep(ports, progressOf(input), (store) =>
    commitCheckpoints(store, input, report, { now: ports.now, until: ports.now() + COMMIT_MS }),
  );
  if (!snapshot.ended) {
    const isNear = report.pending === true || report.uploading !== null;
    const wait = isNear ? waitForCheckpoint(snapshot.wait, input.step.wait) : snapshot.wait;
    return { ...snapshot, wait, checkpoints: progress };
  }
  const draining = drain(progress, report, ports.now() / 1_000);
  const wait = draining.isOver ? {} : { ended: false, wait: DRAIN_WAIT_S };
  return { ...snapshot, ...wait, checkpoints: draining.progress };
}

function stillSilent({ instance, step, context }: WatchInput, now: number, message: string): JobSnapshot {
  const silentSince = step.silentSince ?? now;
  if (now - silentSince > LONGEST_SILENCE_S) {
    throw new RunError(
      'InstanceLost',
      `${instance.id} has not answered for ${LONGEST_SILENCE_S / 60} minutes: ${message}`,
    );
  }
  const cursor = keepUnsettled(step.cursor, context);
  const counted = { polls: step.polls + 1, pollFailures: step.pollFailures + 1 };
  return { ...step, cursor, silentSince, more: false, wait: LONGEST_WAIT, ...counted };
}

/** The supervisor keeps to maxDuration by itself; this is for one that was killed or halted. Finish run then ends the training. */
function refuseOverdue({ job, state, startedAt, now }: JobStatus, { run, spec, instance, step }: WatchInput): void {
  if (job !== 'train' || state !== 'running' || startedAt === null) return;
  const cap = step.costCap?.seconds;
  if (now - startedAt <= (cap ?? trainingLimit(spec, run)) + spec.stopGrace + OVERDUE_S) return;
  if (cap !== undefined) {
    throw new RunError('CostCapped', `${cappedMessage(spec, instance, step)} Its supervisor had not ended it.`);
  }
  throw new RunError('TrainingTimedOut', 'Training reached maxDuration, and its supervisor did not end it.');
}
