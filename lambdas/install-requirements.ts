import { INSTALL_GRACE_S, INSTALL_MAX_S, jobCap } from '../core/cost/limit.ts';
import { RunError } from '../core/errors.ts';
import type { JobPorts } from '../core/job/job-status.ts';
import { startJob } from '../core/job/start-job.ts';
import type { JobInput, JobSnapshot } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { createJobPorts } from './adapters/ports.ts';

/** Starts the job `install`. The machine comes here only when the archive has requirements. */
export function createInstall(ports: JobPorts) {
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
      ...(isCapped ? { maxDuration: cap.seconds } : {}),
    };
    // The machine comes back here when the install was interrupted.
    const snapshot = await startJob(ports, input, { job: 'install', work: { install }, again: input.step !== null });
    return isCapped ? { ...snapshot, costCap: cap } : snapshot;
  };
}

export const handler = entry(
  (input: JobInput) => input.run.id,
  () => createInstall(createJobPorts()),
);
