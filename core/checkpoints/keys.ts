import { runFolder } from '../names.ts';

/** What instances send, by a right for their own run's keys alone. */
export const CHECKPOINT_DATA_PREFIX = 'checkpoint-data/';
/** What functions have committed: never written by an instance. */
export const CHECKPOINT_PREFIX = 'checkpoints/';

/** Begins every key that the instance of a run may write. */
export function dataPrefix(project: string, runId: string): string {
  return `${CHECKPOINT_DATA_PREFIX}${project}/${runFolder(runId)}/`;
}

/** Begins the keys of all lineages of a project. */
export function projectPrefix(project: string): string {
  return `${CHECKPOINT_PREFIX}${project}/`;
}

/** Begins the keys of a lineage: the runs that continue one another, named by the first. */
export function lineagePrefix(project: string, lineage: string): string {
  return `${projectPrefix(project)}${runFolder(lineage)}/`;
}

/** @param seq grows with each checkpoint of a lineage */
export function manifestKey(project: string, lineage: string, seq: number): string {
  return `${lineagePrefix(project, lineage)}${String(seq).padStart(8, '0')}/manifest.json`;
}

/** Names the newest checkpoint of a lineage. */
export function latestKey(project: string, lineage: string): string {
  return `${lineagePrefix(project, lineage)}latest.json`;
}

/** The folder of the lineage in the key of its latest.json; null for another key. */
export function runOfLatestKey(key: string): string | null {
  return /^checkpoints\/[^/]+\/([^/]+)\/latest\.json$/.exec(key)?.[1] ?? null;
}

/** Names the lineage of a run that continues another one. */
export function lineageKey(project: string, runId: string): string {
  return `${lineagePrefix(project, runId)}lineage.json`;
}

/** Says which attempt uses a block of numbers. */
export function claimKey(project: string, lineage: string, block: number): string {
  return `${lineagePrefix(project, lineage)}claims/${block}.json`;
}

/** The number in the key of a manifest; null for another key. */
export function seqOfKey(key: string): number | null {
  const [, digits] = /\/(\d{8,})\/manifest\.json$/.exec(key) ?? [];
  return digits === undefined ? null : Number(digits);
}

/** Equal for the checkpoints that a training writes one after another: as instance/runner/checkpoints/units.py has it. */
export function seriesOf(name: string): string {
  return name.replace(/\d+([.e+-]+\d+)*/g, '#');
}
