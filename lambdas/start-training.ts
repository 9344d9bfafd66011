import { jobCap } from '../core/cost/limit.ts';
import type { JobPorts } from '../core/job/job-status.ts';
import { withLatestMetrics } from '../core/job/latest-metrics.ts';
import { startJob } from '../core/job/start-job.ts';
import type { JobInput, JobSnapshot } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { logger } from './adapters/logger.ts';
import { createJobPorts } from './adapters/ports.ts';

/** Starts the job `train`; the answer has its PID. */
export function createStart(ports: JobPorts) {
  return async (input: JobInput): Promise<JobSnapshot> => {
    // A run that began before this version has no `module`, `command`, `secrets` and `lingerGrace`.
    const {
      script,
      module = null,
      command = null,
      args,
      env,
      secrets = {},
      python,
      maxDuration,
      stopGrace,
      lingerGrace = 60,
      environment = 'shared',
      checkpoints: { path, keep, every } = { path: null, keep: 0, every: 0 },
    } = input.spec;
    const entry = command ? { command } : module ? { module } : { script: script ?? '' };
    const checkpoints = keep > 0 ? { folder: path, every, firstSeq: 1 } : null;
    const cap = jobCap(input, stopGrace);
    const isCapped = cap !== null && cap.seconds < maxDuration;
    const limits = { maxDuration: isCapped ? cap.seconds : maxDuration, stopGrace, lingerGrace };
    const train = { ...entry, args, env, secrets, python, environment, ...limits, checkpoints };
    const snapshot = await withLatestMetrics(
      ports,
      input,
      (recording) => startJob(recording, input, { job: 'train', work: { train } }),
      (error) => logger.warn('the metrics of the log were not read', error),
    );
    return isCapped ? { ...snapshot, costCap: cap } : snapshot;
  };
}

export const handler = entry(
  (input: JobInput) => input.run.id,
  () => createStart(createJobPorts()),
);
