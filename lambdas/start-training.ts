import { jobCap, trainingLimit } from '../core/cost/limit.ts';
import { environmentToStore } from '../core/environments/store-environment.ts';
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
      stopGrace,
      lingerGrace = 60,
      environment = 'shared',
      resumeArgs = [],
      checkpoints: { path, keep, every } = { path: null, keep: 0, every: 0 },
    } = input.spec;
    const entry = command ? { command } : module ? { module } : { script: script ?? '' };
    const { resume } = input.run;
    const checkpoints = keep > 0 ? { folder: path, every, firstSeq: resume?.firstSeq ?? 1 } : null;
    const cap = jobCap(input, stopGrace);
    const most = trainingLimit(input.spec, input.run);
    const isCapped = cap !== null && cap.seconds < most;
    const limits = { maxDuration: isCapped ? cap.seconds : most, stopGrace, lingerGrace };
    const resumeFrom = resume?.checkpoint?.name ?? null;
    const train = {
      ...entry,
      args: [...args, ...argsToResume(resumeArgs, resumeFrom)],
      env,
      secrets,
      python,
      environment,
      ...limits,
      ...(resumeFrom === null ? {} : { resumeFrom }),
      checkpoints,
    };
    // Plan attempt may have led back here: what an earlier visit sent of the log is not sent again.
    const visit = { ...input, context: { ...input.context, retryCount: Math.max(1, input.context.retryCount) } };
    const snapshot = await withLatestMetrics(
      ports,
      visit,
      (recording) => startJob(recording, visit, { job: 'train', work: { train } }),
      (error) => logger.warn('the metrics of the log were not read', error),
    );
    const stored = environmentToStore(input.install?.result);
    return { ...snapshot, ...(isCapped ? { costCap: cap } : {}), ...(stored ? { environment: stored } : {}) };
  };
}

/** `{checkpoint}` is the path in the project, which is the folder that the training starts in. */
function argsToResume(args: readonly string[], checkpoint: string | null): readonly string[] {
  return checkpoint === null ? [] : args.map((arg) => arg.replaceAll('{checkpoint}', checkpoint));
}

export const handler = entry(
  (input: JobInput) => input.run.id,
  () => createStart(createJobPorts()),
);
