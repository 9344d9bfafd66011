import { type JobPorts, startJob } from '../core/job-steps.ts';
import type { JobInput, JobStep } from '../core/run-states.ts';
import { type ArchiveStore, createArchiveStore } from './adapters/archive-store.ts';
import { entry } from './adapters/entry.ts';
import { createExecutions, type Executions } from './adapters/executions.ts';
import { createJobPorts } from './adapters/job-ports.ts';

/** Takes the instance's lease and starts the job `sync`. The holder of a busy instance is looked up: one that has ended is cleared up. */
export function createSync(ports: JobPorts, archives: ArchiveStore, executions: Pick<Executions, 'hasEnded'>) {
  return async (input: JobInput): Promise<JobStep> => {
    const { archive, spec } = input;
    const start = async (ended: readonly string[]) => {
      const sync = {
        url: await archives.presign(archive),
        sha256: archive.sha256,
        bytes: archive.bytes,
        script: spec.script,
        requirements: archive.requirements,
        strip: archive.strip,
        versionId: archive.versionId,
      };
      return startJob(ports, input, { job: 'sync', document: 'prepare', work: { sync }, ended });
    };
    const step = await start([]);
    if (step.state !== 'busy' || !step.holder) return step;
    return (await executions.hasEnded(step.holder.arn)) ? start([step.holder.arn]) : step;
  };
}

export const handler = entry(
  (input: JobInput) => input.run.id,
  () => createSync(createJobPorts(), createArchiveStore(), createExecutions(null)),
);
