import type { KeeperReport, SentCheckpoint } from '../protocol/answers.ts';
import type { CheckpointProgress, JobInput } from '../workflow/data.ts';
import { dataPrefix, latestKey, manifestKey, seriesOf } from './keys.ts';
import {
  type CheckpointManifest,
  type FileList,
  latestOf,
  readCheckpointManifest,
  readFileList,
  readLatest,
} from './manifest.ts';
import { progressOf, warn, withReport } from './progress.ts';
import type { CheckpointStore } from './store.ts';

/** HEAD requests at a time. */
const HEADS = 16;
/** How many are remembered for the retention. */
const MAX_KEPT = 200;
const LATEST_ATTEMPTS = 4;

/** Commits what the instance has sent, the oldest first. Commits again what an attempt before this one has committed. */
export async function commitCheckpoints(
  store: CheckpointStore,
  input: JobInput,
  report: KeeperReport,
  { now, until }: { now: () => number; until: number },
): Promise<CheckpointProgress> {
  let progress = progressOf(input);
  for (const unit of report.units) {
    if (unit.seq <= progress.committed) continue;
    if (now() > until) return withReport(progress, report);
    const result = await commit(store, input, progress.lineage, unit, now());
    progress =
      typeof result === 'string'
        ? warn({ ...progress, committed: unit.seq }, `The checkpoint ${unit.name} was not committed: ${result}`)
        : await remember(store, input, progress, result);
  }
  return withReport(progress, report);
}

/** @returns the manifest, or what is wrong with the checkpoint */
async function commit(
  store: CheckpointStore,
  { run, spec }: JobInput,
  lineage: string,
  unit: SentCheckpoint,
  now: number,
): Promise<CheckpointManifest | string> {
  const prefix = `${dataPrefix(spec.project, run.id)}${unit.seq}/`;
  const key = manifestKey(spec.project, lineage, unit.seq);
  const listed = await readList(store, prefix, unit);
  if (typeof listed === 'string') return listed;
  const files = await verifyFiles(store, prefix, listed);
  if (typeof files === 'string') return files;
  const manifest: CheckpointManifest = {
    version: 1,
    project: spec.project,
    lineage,
    seq: unit.seq,
    run: { id: run.id, startedAt: run.startedAt },
    name: listed.name,
    format: unit.format,
    marked: unit.marked,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    modified: new Date(unit.modified / 1e6).toISOString(),
    committedAt: new Date(now).toISOString(),
    files,
  };
  if (await store.write(key, `${JSON.stringify(manifest)}\n`, null)) return manifest;
  // An attempt of this state that was killed has written it, or another run that had the same number.
  const there = readCheckpointManifest((await store.read(key))?.text ?? '');
  const isOurs = there?.run.id === run.id && there.run.startedAt === run.startedAt;
  return isOurs ? there : `${key} is there already`;
}

async function readList(store: CheckpointStore, prefix: string, { listing, name, seq }: SentCheckpoint) {
  const object = await store.read(`${prefix}${listing.key}`);
  if (object === null) return 'the list of its files is missing';
  if (object.etag !== listing.etag) return 'the list of its files is another one than the instance sent';
  const list = readFileList(object.text);
  if (list === null || list.seq !== seq) return 'the list of its files is not understood';
  return { ...list, name };
}

/** The files with the versions that the bucket has, or what is wrong with one. */
async function verifyFiles(
  store: CheckpointStore,
  prefix: string,
  { files }: FileList,
): Promise<CheckpointManifest['files'] | string> {
  const parts = files.flatMap(({ parts }) => parts);
  const versions = new Map<string, string | null>();
  for (let at = 0; at < parts.length; at += HEADS) {
    const some = parts.slice(at, at + HEADS);
    const stored = await Promise.all(some.map(({ key }) => store.head(`${prefix}${key}`)));
    for (const [index, { key, bytes, etag }] of some.entries()) {
      const object = stored[index] ?? null;
      if (object === null) return `${key} is missing in the bucket`;
      if (object.bytes !== bytes || object.etag !== etag) return `${key} is another one in the bucket`;
      versions.set(key, object.versionId);
    }
  }
  if (files.some(({ bytes, parts }) => bytes !== parts.reduce((sum, part) => sum + part.bytes, 0)))
    return 'the parts of a file have another size than the file';
  return files.map(({ path, bytes, parts }) => ({
    path,
    bytes,
    parts: parts.map(({ key, bytes, etag }) => ({
      key: `${prefix}${key}`,
      versionId: versions.get(key) ?? null,
      bytes,
      etag,
    })),
  }));
}

/** Lets latest.json name it, and removes those that are not kept any more. */
async function remember(
  store: CheckpointStore,
  { spec }: JobInput,
  progress: CheckpointProgress,
  manifest: CheckpointManifest,
): Promise<CheckpointProgress> {
  const { project, lineage, seq, name } = manifest;
  await advanceLatest(store, latestKey(project, lineage), manifest);
  const series = seriesOf(name);
  const others = progress.kept.filter((one) => one.seq !== seq);
  const before = others.findLast((one) => one.series === series)?.savedAt;
  const savedAt = Math.round(Date.parse(manifest.modified) / 1_000);
  const kept = [...others, { seq, series, savedAt, ...(before === undefined ? {} : { interval: savedAt - before }) }];
  const keep = spec.checkpoints?.keep ?? 3;
  const ofSeries = kept.filter((one) => one.series === series).sort((a, b) => b.seq - a.seq);
  const old = ofSeries.slice(keep).map((one) => one.seq);
  for (const one of old) await removeCheckpoint(store, manifestKey(project, lineage, one));
  const { format, bytes, committedAt, marked } = manifest;
  return {
    ...progress,
    committed: seq,
    latest: { seq, name, format, bytes, marked, committedAt },
    kept: kept.filter((one) => !old.includes(one.seq)).slice(-MAX_KEPT),
  };
}

/** latest.json never names an older one than before. */
async function advanceLatest(store: CheckpointStore, key: string, manifest: CheckpointManifest): Promise<void> {
  const text = `${JSON.stringify(latestOf(manifest))}\n`;
  for (let attempt = 1; attempt <= LATEST_ATTEMPTS; attempt += 1) {
    const there = await store.read(key);
    if (there !== null && (readLatest(there.text)?.seq ?? -1) >= manifest.seq) return;
    if (await store.write(key, text, there?.etag ?? null)) return;
  }
  throw new Error(`${key} was written by others ${LATEST_ATTEMPTS} times`);
}

/** The data first: as long as it has a manifest, what is left of it is found again. */
async function removeCheckpoint(store: CheckpointStore, key: string): Promise<void> {
  const object = await store.read(key);
  if (object === null) return;
  const parts = readCheckpointManifest(object.text)?.files.flatMap(({ parts }) => parts.map((part) => part.key)) ?? [];
  await store.remove(parts);
  await store.remove([key]);
}
