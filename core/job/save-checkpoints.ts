import { commitCheckpoints } from '../checkpoints/commit.ts';
import { drain } from '../checkpoints/progress.ts';
import type { PollRequest } from '../protocol/messages.ts';
import type { JobInput, JobSnapshot } from '../workflow/data.ts';
import { accept } from './instance-commands.ts';
import { attemptOf, grantOf, type JobPorts, jobRequestBase } from './job-status.ts';

/** How long one call commits, ms. */
const COMMIT_MS = 30_000;
const WAIT_S = 3;

/**
 * Polls a training that is being ended for its last checkpoints, and commits them. It sends no log: a poll that was under way
 * when the run was stopped may be sending it.
 * @returns the snapshot, and the seconds until it should be called again; null: there is nothing more to come
 */
export async function saveCheckpoints(
  ports: JobPorts,
  input: JobInput & { readonly step: JobSnapshot },
): Promise<{ readonly step: JobSnapshot; readonly wait: number | null }> {
  const { run, instance, step } = input;
  const { checkpoints: store, now } = ports;
  const grant = await grantOf(ports, input);
  if (!store || grant === null) return { step, wait: null };
  const request: PollRequest = {
    ...jobRequestBase(input),
    verb: 'poll',
    job: 'train',
    ...attemptOf(run),
    offset: step.cursor.offset,
    maxBytes: 0,
    checkpoints: grant,
  };
  const status = accept('poll', await ports.commands.ask(instance.id, run.program, request));
  const report = status.checkpoints;
  if (report === null) return { step, wait: null };
  const committed = await commitCheckpoints(store, input, report, { now, until: now() + COMMIT_MS });
  if (status.state === 'running') return { step: { ...step, checkpoints: committed }, wait: WAIT_S };
  const { isOver, progress } = drain(committed, report, now() / 1_000);
  return { step: { ...step, checkpoints: progress }, wait: isOver ? null : WAIT_S };
}
