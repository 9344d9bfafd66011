import { createCheckpointStore } from '../aws/checkpoint-store.ts';
import type { CheckpointStore } from '../core/checkpoints/store.ts';
import { INSTALL_GRACE_S, INSTALL_MAX_S, jobCap } from '../core/cost/limit.ts';
import { listEnvironments } from '../core/environments/list.ts';
import { RunError } from '../core/errors.ts';
import type { JobPorts } from '../core/job/job-status.ts';
import { startJob } from '../core/job/start-job.ts';
import { environmentListKey } from '../core/names.ts';
import type { InstallRequest } from '../core/protocol/messages.ts';
import type { JobInput, JobSnapshot } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';
import { createJobPorts } from './adapters/ports.ts';

interface Ports extends Omit<JobPorts, 'checkpoints'> {
  readonly store: Pick<CheckpointStore, 'list' | 'read' | 'replace' | 'presignGet'>;
}

/** Starts the job `install`. The machine comes here only when the archive has requirements. */
export function createInstall(ports: Ports) {
  return async (input: JobInput): Promise<JobSnapshot> => {
    const { archive, spec } = input;
    if (archive.requirements === null) throw new RunError('Internal', 'there is nothing to install');
    const cap = jobCap(input, INSTALL_GRACE_S);
    const isCapped = cap !== null && cap.seconds < INSTALL_MAX_S;
    const install = {
      requirements: archive.requirements,
      installer: spec.installer,
      python: spec.python,
      environment: spec.environment ?? 'shared', // None in a run that began before this version.
      env: spec.env,
      secrets: spec.secrets ?? {}, // None in a run that began before this version.
      ...(await reuse(ports.store, input)),
      ...(isCapped ? { maxDuration: cap.seconds } : {}),
    };
    // The machine comes back here when the install was interrupted.
    const snapshot = await startJob(ports, input, { job: 'install', work: { install }, again: input.step !== null });
    return isCapped ? { ...snapshot, costCap: cap } : snapshot;
  };
}

/** Which environments the instance may restore. An install does not fail because they cannot be listed. */
async function reuse(
  store: Ports['store'],
  { run, spec }: JobInput,
): Promise<Pick<InstallRequest, 'reuse' | 'environments'>> {
  if (spec.environment !== 'project' || !(spec.storeEnvironment ?? true)) return {};
  try {
    const key = environmentListKey(run.id, run.attempt ?? 1);
    return { reuse: true, environments: await listEnvironments(store, spec.project, key) };
  } catch (error) {
    logger.warn('the stored environments were not listed', error as Error);
    return { reuse: true };
  }
}

export const handler = entry(
  (input: JobInput) => input.run.id,
  () => createInstall({ ...createJobPorts(), store: createCheckpointStore(requireEnv('uploadBucket')) }),
);
