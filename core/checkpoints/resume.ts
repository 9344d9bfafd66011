import type { ResumeCheckpoint, ResumePlan, Run } from '../workflow/data.ts';
import { claimKey, lineageKey, lineagePrefix, projectPrefix, runOfLatestKey, seqOfKey, seriesOf } from './keys.ts';
import { type CheckpointManifest, readCheckpointManifest, readLineage } from './manifest.ts';
import type { CheckpointStore } from './store.ts';

/** Requests at a time. */
const AT_ONCE = 16;
/** Manifests that are read of a lineage: it keeps a few of each series. */
const MAX_READ = 200;
/**
 * Each attempt numbers its checkpoints from the beginning of a block of its own, so that two runs that go on from the same
 * checkpoint do not use the same numbers.
 */
const BLOCK = 10_000;
const CLAIM_ATTEMPTS = 100;

/** What may be gone on with: what a run has saved, and what it went on from itself. */
export interface Wanted {
  readonly project: string;
  readonly runId: string;
  readonly lineage: string;
  /** What the run went on from; null: not known, then all of the lineage. */
  readonly base: number | null;
  /** Only one that is older than this. */
  readonly before: number | null;
}

/** The lineage of a run, and the number of the checkpoint that it went on from: its own, unless it continues another run. */
export async function lineageOf(
  store: Pick<CheckpointStore, 'read'>,
  project: string,
  runId: string,
): Promise<Pick<Wanted, 'lineage' | 'base'>> {
  const pointer = readLineage((await store.read(lineageKey(project, runId)))?.text ?? '');
  return pointer ?? { lineage: runId, base: null };
}

/** The run of a project that has saved a checkpoint last; null: none has. */
export async function latestRun(store: Pick<CheckpointStore, 'list'>, project: string): Promise<string | null> {
  let newest: { run: string; at: number } | null = null;
  for await (const { key, modifiedAt } of store.list(projectPrefix(project))) {
    const run = runOfLatestKey(key);
    if (run !== null && modifiedAt > (newest?.at ?? Number.NEGATIVE_INFINITY)) newest = { run, at: modifiedAt };
  }
  return newest?.run ?? null;
}

/** The committed checkpoints of a lineage, the newest first. */
export async function readCheckpoints(
  store: Pick<CheckpointStore, 'list' | 'read'>,
  project: string,
  lineage: string,
): Promise<CheckpointManifest[]> {
  const keys: { key: string; seq: number }[] = [];
  for await (const { key } of store.list(lineagePrefix(project, lineage))) {
    const seq = seqOfKey(key);
    if (seq !== null) keys.push({ key, seq });
  }
  const newest = keys.sort((a, b) => b.seq - a.seq).slice(0, MAX_READ);
  const manifests: (CheckpointManifest | null)[] = [];
  for (let at = 0; at < newest.length; at += AT_ONCE) {
    const some = newest.slice(at, at + AT_ONCE);
    manifests.push(
      ...(await Promise.all(some.map(async ({ key }) => readCheckpointManifest((await store.read(key))?.text ?? '')))),
    );
  }
  return manifests.filter((manifest) => manifest !== null);
}

/** The newest of the checkpoints that is whole in the bucket: others are passed over. null: there is none */
export async function newestWhole(
  store: Pick<CheckpointStore, 'head'>,
  manifests: readonly CheckpointManifest[],
  wanted: Wanted,
): Promise<CheckpointManifest | null> {
  for (const manifest of manifests) if (isWanted(manifest, wanted) && (await isWhole(store, manifest))) return manifest;
  return null;
}

function isWanted({ seq, run }: CheckpointManifest, { runId, base, before }: Wanted): boolean {
  if (before !== null && seq >= before) return false;
  return run.id === runId || base === null || seq <= base;
}

/** Whether all parts of a checkpoint are in the bucket as they were committed. */
async function isWhole(store: Pick<CheckpointStore, 'head'>, { files }: CheckpointManifest): Promise<boolean> {
  const parts = files.flatMap(({ parts }) => parts);
  for (let at = 0; at < parts.length; at += AT_ONCE) {
    const some = parts.slice(at, at + AT_ONCE);
    const objects = await Promise.all(some.map(({ key, versionId }) => store.head(key, versionId)));
    if (!some.every(({ bytes, etag }, index) => objects[index]?.bytes === bytes && objects[index].etag === etag))
      return false;
  }
  return true;
}

/**
 * Settles what an attempt goes on with, and which numbers its checkpoints get. Gives the same when it is called again.
 * @returns the plan, with the manifest of its checkpoint
 */
export async function settleResume(
  store: CheckpointStore,
  run: Run & { readonly resume: ResumePlan },
  project: string,
): Promise<{ readonly plan: ResumePlan; readonly manifest: CheckpointManifest | null }> {
  const { lineage, checkpoint } = run.resume;
  const manifests = await readCheckpoints(store, project, lineage);
  const wanted = { project, lineage, runId: checkpoint?.run ?? run.id, base: checkpoint?.seq ?? null };
  const before = checkpoint === null ? null : checkpoint.seq + 1;
  const manifest = checkpoint === null ? null : await newestWhole(store, manifests, { ...wanted, before });
  if (lineage !== run.id && manifest !== null) {
    const pointer = { version: 1, lineage, base: manifest.seq };
    await store.write(lineageKey(project, run.id), `${JSON.stringify(pointer)}\n`, null);
  }
  const last = manifests[0]?.seq ?? 0;
  return {
    plan: {
      ...run.resume,
      firstSeq: await claimBlock(store, { project, lineage, run, last }),
      checkpoint: manifest && toResume(manifest),
      kept: manifests.map(({ seq, name }) => ({ seq, series: seriesOf(name) })),
    },
    manifest,
  };
}

/** @returns the first number of a block that no other attempt uses. @param last the largest number so far */
async function claimBlock(
  store: Pick<CheckpointStore, 'read' | 'write'>,
  { project, lineage, run, last }: { project: string; lineage: string; run: Run; last: number },
): Promise<number> {
  const { id, startedAt, attempt = 1 } = run;
  const mine = `${JSON.stringify({ version: 1, run: id, startedAt, attempt })}\n`;
  const first = Math.floor(last / BLOCK) + 1;
  for (let block = first; block < first + CLAIM_ATTEMPTS; block += 1) {
    const key = claimKey(project, lineage, block);
    if (await store.write(key, mine, null)) return block * BLOCK + 1;
    if ((await store.read(key))?.text === mine) return block * BLOCK + 1;
  }
  throw new Error(`${CLAIM_ATTEMPTS} attempts have claimed numbers of the lineage ${lineage} and saved nothing`);
}

export function toResume(manifest: CheckpointManifest): ResumeCheckpoint {
  const { seq, run, name, format, bytes, marked, committedAt } = manifest;
  return { seq, run: run.id, name, format, bytes, marked, committedAt };
}
