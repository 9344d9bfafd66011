import { isRunning } from '../../aws/executions.ts';
import type { Context } from '../context.ts';
import { setUpError } from '../errors.ts';
import type { Run, Runs } from '../runs/find.ts';
import { reconstruct } from '../runs/reconstruct.ts';
import { type ByteFeed, textFeed } from './byte-feed.ts';
import type { LogMessage } from './job-log.ts';
import { lastLines } from './last-lines.ts';
import { LiveLog, statusRequest } from './live-log.ts';
import type { LogSink } from './log-sink.ts';
import { pushTimed, readLogTimes } from './log-times.ts';
import { openWholeLog } from './whole-log.ts';

interface Choice {
  readonly attempt: number;
  /** How many of the last lines; without `since`. */
  readonly lines: number;
  /** Seconds: the lines of the last so many; null: not limited by time. */
  readonly since: number | null;
}

/**
 * Shows the last lines of a training with the time at which each was written, by the clock of its instance.
 * @throws CliError when the run has no such times
 */
export async function showTimed(
  context: Context,
  runs: Runs,
  run: Run,
  sink: LogSink,
  { attempt, lines, since }: Choice,
): Promise<void> {
  const { signal } = context;
  const after = since === null ? null : Date.now() - since * 1_000;
  let messages: LogMessage[] = [];
  const feed = textFeed(async (more) => {
    if (after === null) messages = [...lastLines([...messages, ...more], lines)];
    else for (const message of more) if (message.at >= after) messages.push(message);
  });
  if (run.execution !== null && isRunning(run.execution))
    await readInstance(context, runs, run, feed, { attempt, lines: since === null ? lines : null });
  else await readStored(runs, run, { attempt, feed }, signal);
  await sink.write(messages, signal);
  await sink.end(signal);
}

/** @param lines how many of the last to begin with; null: the whole log */
async function readInstance(
  { account, signal }: Context,
  runs: Runs,
  run: Run,
  feed: ByteFeed,
  { attempt, lines }: { readonly attempt: number; readonly lines: number | null },
): Promise<void> {
  if (run.execution === null) return;
  const { facts } = await reconstruct(runs, run.execution);
  const request = facts.train && statusRequest(account, facts, { job: 'train', attempt, times: true });
  if (!request) return;
  const log = new LiveLog(request, feed);
  if (lines !== null) await log.beginNearEnd(lines, signal);
  await log.next(signal);
}

async function readStored(
  { store }: Runs,
  { id }: Run,
  { attempt, feed }: { readonly attempt: number; readonly feed: ByteFeed },
  signal: AbortSignal,
): Promise<void> {
  const times = await readLogTimes(store, { runId: id, attempt }, signal);
  if (times === null) {
    throw setUpError(
      `Run ${id} has no times of its lines: its training did not begin, or an older version of runctl ran it.`,
      `To see its log: runctl logs ${id}`,
    );
  }
  const chunks = await openWholeLog(
    store,
    { id, manifest: await store.manifest(id) },
    { job: 'train', attempt },
    signal,
  );
  if (chunks !== null) await pushTimed(chunks, feed, { from: 0, times }, signal);
  await feed.end(times.at(-1)?.[1] ?? 0, signal);
}
