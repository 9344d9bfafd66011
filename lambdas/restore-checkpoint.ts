import { createCheckpointStore } from '../aws/checkpoint-store.ts';
import { restoreList } from '../core/checkpoints/restore-list.ts';
import { settleResume } from '../core/checkpoints/resume.ts';
import type { CheckpointStore } from '../core/checkpoints/store.ts';
import { jobCap } from '../core/cost/limit.ts';
import { RunError } from '../core/errors.ts';
import type { JobPorts } from '../core/job/job-status.ts';
import { startJob } from '../core/job/start-job.ts';
import { restoreListKey } from '../core/names.ts';
import type { JobInput, RestoreOutput } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { createJobPorts } from './adapters/ports.ts';

interface Ports extends Omit<JobPorts, 'checkpoints'> {
  readonly store: CheckpointStore;
}

/**
 * Settles which checkpoint the attempt goes on from, and starts the job `restore`. The machine comes here for a run that
 * continues another one, and for every attempt but the first.
 */
export function createRestore(ports: Ports) {
  return async (input: JobInput): Promise<RestoreOutput> => {
    const { run, spec } = input;
    if (!run.resume) throw new RunError('Internal', 'there is nothing to restore');
    jobCap(input, spec.stopGrace); // Nothing is sent for a training that maxCost does not pay for.
    const { plan, manifest } = await settleResume(ports.store, { ...run, resume: run.resume }, spec.project);
    const settled = { ...run, resume: plan };
    if (run.resume.checkpoint !== null && manifest === null) {
      const { name, run: from } = run.resume.checkpoint;
      throw new RunError(
        'CheckpointNotFound',
        `The checkpoint ${name} of run ${from}, and those before it, are not in the bucket any more.`,
      );
    }
    if (manifest === null) return { run: settled, step: null };
    const list = await restoreList(ports.store, manifest);
    const key = restoreListKey(run.id, run.attempt ?? 1);
    await ports.store.replace(key, list.text);
    const { sha256, bytes } = list;
    const restore = { list: { url: await ports.store.presignGet(key, null), sha256, bytes }, name: manifest.name };
    // The machine comes back here when the job was interrupted, or when URLs had become too old.
    const again = input.step !== null;
    return {
      run: settled,
      step: await startJob(ports, { ...input, run: settled }, { job: 'restore', work: { restore }, again }),
    };
  };
}

export const handler = entry(
  (input: JobInput) => input.run.id,
  () => createRestore({ ...createJobPorts(), store: createCheckpointStore(requireEnv('uploadBucket')) }),
);
