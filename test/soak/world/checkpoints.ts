import { createHash } from 'node:crypto';
import { manifestKey, seqOfKey, seriesOf } from '../../../core/checkpoints/keys.ts';
import { type CheckpointManifest, readCheckpointManifest, readLatest } from '../../../core/checkpoints/manifest.ts';
import { parseObject } from '../../../core/outcome/decide-outcome.ts';
import type { Bucket } from './bucket.ts';
import type { RunPlan } from './schedule.ts';

/** What checkpoints of a schedule must never be. */
export interface CheckpointFindings {
  readonly incompleteRestores: string[];
  readonly lostCheckpoints: string[];
  readonly latestBackwards: string[];
}

/** A manifest that was written. */
interface Commit {
  readonly manifest: CheckpointManifest;
  /** Epoch ms. */
  readonly at: number;
  /** The bytes that its parts had then. */
  readonly content: string | null;
}

const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest('hex');

/** Watches what is written below checkpoints/, and restores as an instance would: latest.json, its manifest, all parts. */
export class CheckpointWatch {
  readonly findings: CheckpointFindings = { incompleteRestores: [], lostCheckpoints: [], latestBackwards: [] };
  readonly commits: Commit[] = [];
  private readonly seqs = new Map<string, number>();

  constructor(
    private readonly bucket: Bucket,
    private readonly runs: readonly RunPlan[],
    private readonly now: () => number,
  ) {
    bucket.onWrite = (key, text) => this.wrote(key, text);
  }

  /** At the end: what latest.json names, and all that the retention keeps, are there. */
  check(): CheckpointFindings {
    for (const key of this.seqs.keys()) this.restoreLatest(key);
    for (const { manifest } of this.commits) {
      if (!this.isKept(manifest)) continue;
      const why = this.problemOf(manifest);
      if (why !== null) this.findings.lostCheckpoints.push(`${manifest.lineage} ${manifest.seq}: ${why}`);
    }
    return this.findings;
  }

  private wrote(key: string, text: string): void {
    if (seqOfKey(key) !== null) {
      const manifest = readCheckpointManifest(text);
      if (manifest === null) this.findings.incompleteRestores.push(`${key} is not a manifest`);
      else this.commits.push({ manifest, at: this.now(), content: this.contentOf(manifest) });
    } else if (key.endsWith('/latest.json')) {
      const seq = readLatest(text)?.seq ?? -1;
      const before = this.seqs.get(key) ?? 0;
      if (seq <= before) this.findings.latestBackwards.push(`${key}: ${seq} after ${before}`);
      this.seqs.set(key, seq);
      this.restoreLatest(key);
    }
  }

  private restoreLatest(key: string): void {
    const latest = readLatest(this.bucket.textOf(key) ?? '');
    const manifestKey = key.replace('latest.json', `${String(latest?.seq).padStart(8, '0')}/manifest.json`);
    const manifest = readCheckpointManifest(this.bucket.textOf(manifestKey) ?? '');
    const why = manifest === null ? 'its manifest is missing' : this.problemOf(manifest);
    if (why !== null) this.findings.incompleteRestores.push(`${key} names ${latest?.seq}: ${why}`);
  }

  /** Why a checkpoint cannot be restored, or null. */
  private problemOf({ run, name, files }: CheckpointManifest): string | null {
    for (const { key, versionId, bytes, etag } of files.flatMap(({ parts }) => parts)) {
      const body = this.bucket.versionOf(key, versionId);
      if (body === null) return `${key} in version ${versionId} is gone`;
      if (body.length !== bytes || md5(body) !== etag) return `${key} is another one`;
    }
    const content = this.contentOf({ files }) ?? '';
    const plan = this.runs.find(({ id }) => id === run.id);
    const attempts = plan ? [plan.jobs, ...(plan.later ?? [])] : [];
    const saves = attempts.flatMap(({ train }) => train.saves ?? []);
    const isWhole = saves.some((save) => save.name === name && save.content === content);
    return isWhole ? null : `${name} is not what the training saved: ${content.slice(0, 60)}`;
  }

  /** Whether its parts are in the bucket as they were committed. */
  isThere(manifest: CheckpointManifest): boolean {
    const { project, lineage, seq } = manifest;
    return this.bucket.objects.has(manifestKey(project, lineage, seq)) && this.problemOf(manifest) === null;
  }

  private contentOf({ files }: Pick<CheckpointManifest, 'files'>): string | null {
    const bodies = files.flatMap(({ parts }) => parts.map((part) => this.bucket.versionOf(part.key, part.versionId)));
    return bodies.some((body) => body === null) ? null : Buffer.concat(bodies as Buffer[]).toString();
  }

  /** Of its series, fewer than `keep` are newer. */
  private isKept({ lineage, seq, name }: CheckpointManifest): boolean {
    // Each run keeps as many as its own spec says, of all that its lineage has.
    const runs = new Set(
      this.commits.filter((one) => one.manifest.lineage === lineage).map((one) => one.manifest.run.id),
    );
    const keeps = this.runs
      .filter(({ id }) => runs.has(id))
      .map(({ spec }) => Number(parseObject(JSON.stringify(spec.checkpoints ?? {}))?.keep ?? 3));
    const keep = Math.min(...keeps);
    const newer = new Set(
      this.commits
        .map(({ manifest }) => manifest)
        .filter((one) => one.lineage === lineage && one.seq > seq && seriesOf(one.name) === seriesOf(name))
        .map((one) => one.seq),
    );
    return newer.size < keep;
  }
}
