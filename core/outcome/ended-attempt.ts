import { costOf } from '../cost/cost-cap.ts';
import type { EndedAttempt, Instance, JobSnapshot, Run, RunOutcome } from '../workflow/data.ts';

const MESSAGE_CHARACTERS = 300;

/** What remains of an attempt. @param heldSeconds for which it used its instance; null: not known. @param now epoch milliseconds */
export function endedAttempt(
  { run, instance, train }: { run: Run; instance: Instance; train: JobSnapshot | null },
  { outcome, error, message, exitCode, signal }: RunOutcome,
  { now, heldSeconds }: { now: number; heldSeconds: number | null },
): EndedAttempt {
  const from = run.resume?.checkpoint ?? null;
  const latest = train?.checkpoints?.latest ?? null;
  const isNew = latest !== null && latest.seq >= (run.resume?.firstSeq ?? 1);
  return {
    attempt: run.attempt ?? 1,
    outcome,
    error,
    message: message.length > MESSAGE_CHARACTERS ? `${message.slice(0, MESSAGE_CHARACTERS)}…` : message,
    instance: instance.id,
    seconds: train?.elapsed ?? 0,
    usd: instance.price && heldSeconds !== null ? Number(costOf(instance.price, heldSeconds).toFixed(6)) : null,
    exitCode,
    signal,
    resumedFrom: from && { run: from.run, seq: from.seq, name: from.name },
    saved: isNew ? { seq: latest.seq, name: latest.name } : null,
    endedAt: new Date(now).toISOString(),
  };
}
