import type { Executions } from '../../aws/executions.ts';
import type { JobSnapshot, Starting } from '../../core/workflow/data.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';
import { phaseOf } from '../../core/workflow/vocabulary.ts';
import { formatTime } from '../terminal/times.ts';

/** What a run does now: its word and, where it waits, for what: its place in the queue, or its instance. */
export async function activityOf(
  executions: Pick<Executions, 'lastState' | 'lastOutput'>,
  arn: string,
): Promise<string> {
  const state = await executions.lastState(arn);
  // A run that waits for its instance looks at it again and again.
  if (state === RUN_STATES.find || state === RUN_STATES.found || state === RUN_STATES.starting) {
    const starting = startingOf(await executions.lastOutput(arn, RUN_STATES.find));
    return starting === null ? phaseOf(state) : `${phaseOf(RUN_STATES.starting)}: ${starting.message}`;
  }
  // In the queue, a run asks for the instance again and again.
  if (state !== RUN_STATES.queue && state !== RUN_STATES.sync) return phaseOf(state);
  const snapshot = readSnapshot(await executions.lastOutput(arn, RUN_STATES.sync));
  if (snapshot?.state !== 'busy') return phaseOf(state);
  return `queued: ${queueText(snapshot)}`;
}

/** What a run waits for that has left Find instance with this output; null: nothing. */
export function startingOf(output: string | null): Starting | null {
  return (Object(JSON.parse(output ?? 'null')) as { starting?: Starting }).starting ?? null;
}

/** The output of a state of a job. null: it was left by its Catch, or the output is not known. */
export function readSnapshot(output: string | null): JobSnapshot | null {
  const value = Object(JSON.parse(output ?? 'null')) as JobSnapshot;
  return 'cursor' in value ? value : null;
}

/** The place in the queue and the holder of the instance, in words. Times in epoch seconds. */
export function queueText({
  queue,
  holder,
}: {
  readonly queue: { readonly place: number | null; readonly length: number | null } | null;
  readonly holder: { readonly run: string; readonly since: number } | null;
}): string {
  const length = queue?.length == null ? '' : ` of ${queue.length}`;
  const place = queue?.place == null ? 'no position yet' : `position ${queue.place}${length}`;
  return holder === null
    ? `${place}; the instance is free, but other runs come first`
    : `${place}; run ${holder.run} has had the instance since ${formatTime(holder.since * 1_000)}`;
}
