import { RunError } from '../errors.ts';
import type { ResumePlan } from '../workflow/data.ts';
import { latestRun, lineageOf, newestWhole, readCheckpoints, toResume, type Wanted } from './resume.ts';
import type { CheckpointStore } from './store.ts';

type Reading = Pick<CheckpointStore, 'read' | 'list' | 'head'>;

/**
 * What a run goes on from whose spec has the key `resume`. Restore checkpoint settles the rest.
 * @param resume `latest`, or the id of a run
 * @returns null: no run of the project has saved a checkpoint, and `latest` was wanted
 * @throws RunError `CheckpointNotFound`
 */
export async function findResume(store: Reading, project: string, resume: string): Promise<ResumePlan | null> {
  const wanted = resume === 'latest' ? await latestRun(store, project) : resume;
  if (wanted === null) return null;
  const lineage = await lineageOf(store, project, wanted);
  const found = await newestOf(store, { project, runId: wanted, ...lineage, before: null });
  if (found !== null) return found;
  throw new RunError('CheckpointNotFound', `Run ${wanted} has no checkpoint of the project ${project} in the bucket.`);
}

/** The newest of those checkpoints that is whole; null: there is none. */
export async function newestOf(store: Reading, wanted: Wanted): Promise<ResumePlan | null> {
  const manifests = await readCheckpoints(store, wanted.project, wanted.lineage);
  const manifest = await newestWhole(store, manifests, wanted);
  if (manifest === null) return null;
  return { lineage: wanted.lineage, firstSeq: manifest.seq + 1, checkpoint: toResume(manifest), kept: [] };
}
