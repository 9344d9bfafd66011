import { type Execution, isRunning } from '../../aws/executions.ts';
import type { JobName } from '../../core/names.ts';
import type { RunFacts } from '../../core/workflow/data.ts';
import { toReadable } from '../account/aws-errors.ts';
import { retryNotes, retryUntilReachable } from '../account/retry.ts';
import { isPermanent } from '../account/send-request.ts';
import type { Context } from '../context.ts';
import { activityOf } from '../runs/activity.ts';
import type { Runs } from '../runs/find.ts';
import { reconstruct } from '../runs/reconstruct.ts';
import { pollUntil } from '../terminal/poll.ts';
import { ByteFeed } from './byte-feed.ts';
import { LiveLog, statusRequest } from './live-log.ts';
import type { LogSink } from './log-sink.ts';
import { pushTimed, readLogTimes } from './log-times.ts';
import { openWholeLog } from './whole-log.ts';

const POLL_MS = 2_000;

interface LiveOptions {
  readonly job: JobName;
  readonly raw: boolean;
  readonly lines: number;
  /** With the instance's own time of each line. */
  readonly timestamps: boolean;
}

/**
 * Shows a job's log read from the instance, 2 to 3 s after it was written, until the run has ended.
 * @returns the ended execution
 */
export async function showLive(
  context: Context,
  runs: Runs,
  run: Execution,
  sink: LogSink,
  { job, raw, lines, timestamps }: LiveOptions,
): Promise<Execution> {
  const { account, signal } = context;
  const feed = new ByteFeed(sink, raw);
  for (let shown = 0; ; ) {
    const { execution, facts } = await waitForJob(context, runs, run, job, shown);
    const attempt = facts?.run?.attempt ?? (shown || 1);
    const requestStatus = facts && statusRequest(account, facts, { job, attempt, times: timestamps });
    const log = requestStatus && new LiveLog(requestStatus, feed);
    if (log) await showFromInstance(context, runs, execution, log, raw || shown > 0 ? null : lines);
    const isWhole = log?.position.ended === true || (log === null && shown > 0);
    shown = attempt;
    const current = await describe(context, runs, execution);
    if (isRunning(current) && isWhole) continue; // Another attempt may follow.
    const ended = await pollUntil(POLL_MS, () => endedExecution(context, runs, current), signal);
    const offset = isWhole ? null : (log?.position.offset ?? 0);
    await showRest(context, runs, run.name, { job, attempt, feed, offset, timestamps });
    return ended;
  }
}

/** Waits until the job has begun in an attempt after `shown`, or the run has ended. */
async function waitForJob(context: Context, runs: Runs, run: Execution, job: JobName, shown: number) {
  const { terminal, signal } = context;
  const notes = retryNotes((line) => terminal.note(line));
  const { executions } = runs;
  let activity = '';
  const readJob = async () => {
    const execution = (await retryUntilReachable(() => executions.describe(run.arn, signal), notes, signal)) ?? run;
    if (!isRunning(execution)) return { execution, facts: null };
    const { facts } = await retryUntilReachable(() => reconstruct(runs, execution), notes, signal);
    if (hasBegun(facts, job) && (facts.run?.attempt ?? 1) > shown) return { execution, facts };
    const state = await retryUntilReachable(() => activityOf(executions, run.arn), notes, signal);
    if (state !== activity) terminal.note(`Run ${run.name} is ${state} ...`);
    activity = state;
    return undefined;
  };
  return await pollUntil(POLL_MS, readJob, signal);
}

function hasBegun(facts: RunFacts, job: JobName): boolean {
  const step = facts[job] ?? null;
  return step !== null && !['busy', 'refused', 'absent'].includes(step.state);
}

/**
 * Shows the log until it has ended, or the run has: then the instance may not answer any more.
 * @param lines how many of the last lines to start with; null: the whole log
 */
async function showFromInstance(
  context: Context,
  runs: Runs,
  run: Execution,
  log: LiveLog,
  lines: number | null,
): Promise<void> {
  const { terminal, signal } = context;
  let isPositioned = lines === null;
  let isSilent = false;
  const readLog = async () => {
    try {
      if (!isPositioned) await log.beginNearEnd(lines ?? 0, signal);
      isPositioned = true;
      await log.next(signal);
      isSilent = false;
    } catch (error) {
      if (signal.aborted || isPermanent(error)) throw error;
      if (!isSilent) terminal.note(`${(toReadable(error) as Error).message} Trying again ...`);
      isSilent = true;
      if (await endedExecution(context, runs, run)) return true;
    }
    return log.position.ended || undefined;
  };
  await pollUntil(POLL_MS, readLog, signal);
}

/** undefined: it is running. */
async function endedExecution(context: Context, runs: Runs, run: Execution) {
  const execution = await describe(context, runs, run);
  return isRunning(execution) ? undefined : execution;
}

/** As it is now. */
async function describe({ terminal, signal }: Context, { executions }: Runs, run: Execution): Promise<Execution> {
  if (!isRunning(run)) return run;
  const notes = retryNotes((line) => terminal.note(line));
  return (await retryUntilReachable(() => executions.describe(run.arn, signal), notes, signal)) ?? run;
}

interface Rest {
  readonly job: JobName;
  readonly attempt: number;
  readonly feed: ByteFeed;
  /** Of the attempt's log so much was shown; null: all. */
  readonly offset: number | null;
  readonly timestamps: boolean;
}

/** What was not read from the instance, from the complete copies in S3: the rest of an attempt, and the attempts after it. */
async function showRest(
  { terminal, signal }: Context,
  { store }: Pick<Runs, 'store'>,
  id: string,
  { job, attempt, feed, offset, timestamps }: Rest,
): Promise<void> {
  const manifest = await store.manifest(id);
  const show = async (one: number, from: number) => {
    const chunks = await openWholeLog(store, { id, manifest }, { job, attempt: one }, signal);
    const times = timestamps ? await readLogTimes(store, { runId: id, attempt: one }, signal) : null;
    if (chunks !== null) await pushTimed(chunks, feed, { from, times }, signal);
    return chunks !== null;
  };
  const isShown = offset === null || (await show(attempt, offset));
  const logs = manifest?.logs.filter((log) => log.job === job) ?? [];
  const later = logs.map((log) => log.attempt).filter((one) => one > attempt);
  for (const one of later.sort((a, b) => a - b)) await show(one, 0);
  await feed.end(Date.now(), signal);
  if (!isShown) terminal.note(`The rest of the log may be in CloudWatch: runctl logs ${id}`);
}
