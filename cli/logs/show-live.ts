import type { Execution } from '../../aws/executions.ts';
import { isRunning } from '../../aws/executions.ts';
import { type JobName, RUN_MACHINE, WATCH_MACHINE } from '../../core/names.ts';
import { findRun } from '../../core/outcome/reconstruct-run.ts';
import type { RunFacts } from '../../core/workflow/data.ts';
import { isPermanent } from '../account/ask-instance.ts';
import { toReadable } from '../account/aws-errors.ts';
import { retryNotes, retryUntilReachable } from '../account/retry.ts';
import type { Context } from '../context.ts';
import type { Runs } from '../runs/find.ts';
import { doing } from '../runs/words.ts';
import { ByteFeed } from './byte-feed.ts';
import { askOf, LiveLog, untilNextLook } from './live-log.ts';
import type { LogSink } from './log-sink.ts';
import { openWholeLog } from './whole-log.ts';

interface Live {
  readonly job: JobName;
  readonly raw: boolean;
  readonly lines: number;
}

/**
 * Shows a job's log as the instance has it, 2 to 3 s after it was written, until the run has ended.
 * @returns how it ended
 */
export async function showLive(
  context: Context,
  runs: Runs,
  run: Execution,
  sink: LogSink,
  { job, raw, lines }: Live,
): Promise<Execution> {
  const { account, terminal, signal } = context;
  const feed = new ByteFeed(sink, raw);
  const begun = await untilBegun(context, runs, run, job);
  const ask = begun.facts && askOf(account, begun.facts, job);
  const log = ask && new LiveLog(ask, feed);
  let now = begun.execution;
  if (log && isRunning(now)) {
    let isNear = raw;
    let isSilent = false;
    while (!log.place.ended && isRunning(now)) {
      const began = performance.now();
      try {
        if (!isNear) await log.beginNearEnd(lines, signal);
        isNear = true;
        await log.next(signal);
        isSilent = false;
      } catch (error) {
        if (signal.aborted || isPermanent(error)) throw error;
        if (!isSilent)
          terminal.note(`The instance does not answer: ${(toReadable(error) as Error).message} Asking again ...`);
        isSilent = true;
        now = (await look(context, runs, run)) ?? now;
      }
      if (!log.place.ended) await untilNextLook(began, signal);
    }
    if (!log.place.ended) now = (await look(context, runs, run)) ?? now;
  }
  while (isRunning(now)) {
    await untilNextLook(performance.now(), signal);
    now = (await look(context, runs, run)) ?? now;
  }
  if (log?.place.ended) await feed.end(Date.now(), signal);
  else await readRest(context, runs, run.name, { job, feed, from: log?.place.offset ?? 0 });
  return now;
}

/** The job has begun, or the run has ended. */
async function untilBegun(context: Context, { executions, machine }: Runs, run: Execution, job: JobName) {
  const { terminal, signal } = context;
  const notes = retryNotes((line) => terminal.note(line));
  const watchMachine = machine.replace(RUN_MACHINE, WATCH_MACHINE);
  for (let shown = ''; ; ) {
    const began = performance.now();
    const execution = (await retryUntilReachable(() => executions.describe(run.arn, signal), notes, signal)) ?? run;
    if (!isRunning(execution)) return { execution, facts: null };
    const { facts } = await retryUntilReachable(() => findRun(executions, execution, watchMachine), notes, signal);
    if (hasBegun(facts, job)) return { execution, facts };
    const state = doing(await retryUntilReachable(() => executions.lastState(run.arn), notes, signal));
    if (state !== shown) terminal.note(`Run ${run.name} is ${state} ...`);
    shown = state;
    await untilNextLook(began, signal);
  }
}

function hasBegun(facts: RunFacts, job: JobName): boolean {
  const step = facts[job];
  return step !== null && !['busy', 'refused', 'absent'].includes(step.state);
}

async function look({ terminal, signal }: Context, { executions }: Runs, { arn }: Execution) {
  const notes = retryNotes((line) => terminal.note(line));
  return await retryUntilReachable(() => executions.describe(arn, signal), notes, signal);
}

/** What the instance did not live to tell: from the whole copy in S3, behind what has been shown. */
async function readRest(
  { terminal, signal }: Context,
  { store }: Runs,
  id: string,
  { job, feed, from }: { job: JobName; feed: ByteFeed; from: number },
): Promise<void> {
  const chunks = await openWholeLog(store, { id, manifest: await store.manifest(id) }, job, signal);
  let left = from;
  for await (const chunk of chunks ?? []) {
    await feed.push(chunk.subarray(Math.min(left, chunk.length)), Date.now(), signal);
    left = Math.max(0, left - chunk.length);
  }
  await feed.end(Date.now(), signal);
  if (chunks === null) terminal.note(`What came after that is in CloudWatch, if anywhere: npx runctl logs ${id}`);
}
