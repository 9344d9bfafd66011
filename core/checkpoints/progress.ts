import type { KeeperReport } from '../protocol/answers.ts';
import type { CheckpointProgress, JobInput } from '../workflow/data.ts';
import { seriesOf } from './keys.ts';

const MAX_WARNINGS = 5;
/** The keeper ends 60 s after its training (instance/runner/common/keeper_files.py); the last report comes with the next poll. */
const DRAIN_S = 75;

/** What is known of a training's checkpoints before its first report. */
export function progressOf({ run, step }: Pick<JobInput, 'run' | 'step'>): CheckpointProgress {
  return (
    step?.checkpoints ?? {
      lineage: run.resume?.lineage ?? run.id,
      committed: (run.resume?.firstSeq ?? 1) - 1,
      latest: run.resume?.checkpoint ?? null,
      kept: run.resume?.kept ?? [],
      uploading: null,
      warnings: [],
      drainingSince: null,
    }
  );
}

/** Whether an ended training has checkpoints that are still sent or committed, and what to remember of that. */
export function drain(
  progress: CheckpointProgress,
  report: KeeperReport,
  now: number,
): { readonly isOver: boolean; readonly progress: CheckpointProgress } {
  const since = progress.drainingSince ?? now;
  const isDone = report.state === 'done' && report.units.every(({ seq }) => seq <= progress.committed);
  return { isOver: isDone || now - since > DRAIN_S, progress: { ...progress, drainingSince: since } };
}

/** An upload is given this time, however often its training saves. */
const MIN_LAG_S = 300;
/** Between two checkpoints, before two of a series are known. */
const USUAL_INTERVAL_S = 1_800;

/**
 * How long the upload of a checkpoint has taken so far, when that is longer than two intervals of its series; else null.
 * @param now epoch seconds
 */
export function uploadLag({ uploading, kept }: CheckpointProgress, now: number): number | null {
  if (uploading === null) return null;
  const series = seriesOf(uploading.name);
  const interval = kept.findLast((one) => one.series === series)?.interval ?? USUAL_INTERVAL_S;
  const age = now - uploading.since;
  return age > Math.max(2 * interval, MIN_LAG_S) ? age : null;
}

/** With what a report says of sending. */
export function withReport(progress: CheckpointProgress, report: KeeperReport): CheckpointProgress {
  const { uploading, warnings, notice } = report;
  return warnings.reduce(warn, { ...progress, uploading, ...(notice ? { notice } : {}) });
}

/** With a further warning, of the few that are kept. */
export function warn(progress: CheckpointProgress, text: string): CheckpointProgress {
  const { warnings } = progress;
  if (warnings.includes(text) || warnings.length >= MAX_WARNINGS) return progress;
  return { ...progress, warnings: [...warnings, text] };
}
