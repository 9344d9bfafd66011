import { type JobPorts, startJob } from '../core/job/job-steps.ts';
import type { JobInput, JobStep } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { createJobPorts } from './adapters/job-ports.ts';

/** Starts the job `train`; the answer has its PID. */
export function createStart(ports: JobPorts) {
  return (input: JobInput): Promise<JobStep> => {
    const { script, args, env, python, maxDuration, stopGrace } = input.spec;
    const train = { script, args, env, python, maxDuration, stopGrace };
    // With the finisher aboard: a training that fills the disk leaves no room to bring it later.
    return startJob(ports, input, { job: 'train', document: 'prepare-finish', work: { train } });
  };
}

export const handler = entry(
  (input: JobInput) => input.run.id,
  () => createStart(createJobPorts()),
);
