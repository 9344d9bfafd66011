import { latestKey, lineageKey, lineagePrefix, seqOfKey } from '../../core/checkpoints/keys.ts';
import {
  type CheckpointManifest,
  readCheckpointManifest,
  readLatest,
  readLineage,
} from '../../core/checkpoints/manifest.ts';
import { formatDuration, formatSize } from '../../core/units.ts';
import type { CheckpointsOutput } from '../output/schemas.ts';
import type { Terminal } from '../terminal/terminal.ts';
import type { RunReport } from './report.ts';
import type { RunStore } from './store.ts';

/** Reads the committed checkpoints of a run, and of the runs that it continues; the newest first. */
export async function listCheckpoints(
  store: Pick<RunStore, 'open' | 'keys' | 'bucket'>,
  { id, project, checkpoints: progress }: Pick<RunReport, 'id' | 'project' | 'checkpoints'>,
): Promise<CheckpointsOutput> {
  const none = {
    id,
    lineage: progress?.lineage ?? id,
    project,
    latest: null,
    checkpoints: [],
    uploading: progress?.uploading?.name ?? null,
  };
  if (project === null) return none;
  const lineage = progress?.lineage ?? readLineage((await textOf(store, lineageKey(project, id))) ?? '')?.lineage ?? id;
  const [keys, latest] = await Promise.all([
    store.keys(lineagePrefix(project, lineage)),
    textOf(store, latestKey(project, lineage)),
  ]);
  const manifests = await Promise.all(
    keys
      .filter((key) => seqOfKey(key) !== null)
      .map(async (key) => readCheckpointManifest((await textOf(store, key)) ?? '')),
  );
  return {
    ...none,
    lineage,
    latest: latest === null ? null : (readLatest(latest)?.seq ?? null),
    checkpoints: manifests
      .filter((manifest) => manifest !== null)
      .sort((a, b) => b.seq - a.seq)
      .map((manifest) => toOutput(manifest, store.bucket)),
  };
}

function toOutput(
  { seq, run, name, format, marked, bytes, modified, committedAt, files }: CheckpointManifest,
  bucket: string,
) {
  const parts = files.map(({ path, parts }) => ({ path, uris: parts.map(({ key }) => `s3://${bucket}/${key}`) }));
  return { seq, run: run.id, name, format, marked, bytes, modified, committedAt, files: parts };
}

async function textOf(store: Pick<RunStore, 'open'>, key: string): Promise<string | null> {
  const object = await store.open(key);
  return object === null ? null : ((await object.Body?.transformToString()) ?? '');
}

/** @param now epoch milliseconds */
export function printCheckpoints(terminal: Terminal, { checkpoints, uploading }: CheckpointsOutput, now: number): void {
  const rows = checkpoints.map(({ seq, name, format, marked, bytes, committedAt }) => [
    String(seq),
    name,
    marked ? 'not known' : format,
    formatSize(bytes),
    `${ageOf(committedAt, now)} ago`,
  ]);
  if (rows.length === 0) terminal.print('This run has no checkpoints in S3.');
  else terminal.table(['NUMBER', 'CHECKPOINT', 'FORMAT', 'SIZE', 'IN S3'], rows);
  if (uploading !== null) terminal.print(`Being sent: ${uploading}`);
}

export function ageOf(committedAt: string, now: number): string {
  return formatDuration(Math.max(0, now - Date.parse(committedAt)) / 1_000);
}
