import type { Execution } from '../../aws/executions.ts';
import { isRunning } from '../../aws/executions.ts';
import type { JobName } from '../../core/names.ts';
import { formatDuration } from '../../core/units.ts';
import { retryNotes, retryUntilReachable } from '../account/retry.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, exitCodeOf } from '../errors.ts';
import { projectFor } from '../project/which-project.ts';
import { activityOf } from '../runs/activity.ts';
import { type Run, Runs } from '../runs/find.ts';
import { endingOf } from '../runs/summary.ts';
import { printDetached } from '../terminal/detach.ts';
import { AttemptsLog } from './attempts-log.ts';
import { drainLog, followLog } from './follow-log.ts';
import { JobLog } from './job-log.ts';
import { lastLines } from './last-lines.ts';
import { LogSink } from './log-sink.ts';
import { showLive } from './show-live.ts';
import { showTimed } from './show-timed.ts';
import { openWholeLog } from './whole-log.ts';

const LINES = 50;

export interface LogsOptions {
  readonly project?: string;
  readonly number?: number;
  readonly follow?: true;
  readonly live?: true;
  readonly install?: true;
  readonly sync?: true;
  readonly restore?: true;
  /** Of several; the latest by default. */
  readonly attempt?: number;
  /** Seconds. */
  readonly since?: number;
  readonly raw?: true;
  readonly json?: true;
  readonly timestamps?: true;
}

/** What `runctl logs` does. */
export async function showLogs(context: Context, id: string | undefined, options: LogsOptions): Promise<ExitCode> {
  const { account, terminal, signal } = context;
  const runs = await Runs.of(account);
  const run = await runs.find(id, () => projectFor(context, options));
  const job = jobOf(options);
  const log = await openLog(context, { runId: run.id, job }, options);
  const format = options.raw ? 'raw' : options.json ? 'json' : 'text';
  const sink = new LogSink(terminal, { job, format, timestamps: options.timestamps === true });
  const notes = retryNotes((line) => terminal.note(line));
  const reading = { log, sink, executions: runs.executions, notes, signal };
  const isOver = run.execution === null || !isRunning(run.execution);
  const timestamps = options.timestamps === true;
  const { attempt } = log;
  if ((options.live || (timestamps && options.follow)) && run.execution && !isOver) {
    const live = { job, raw: options.raw === true, lines: options.number ?? LINES, timestamps };
    return await follow(context, run.execution, (execution) => showLive(context, runs, execution, sink, live));
  }
  if (timestamps) {
    const choice = { attempt, lines: options.number ?? LINES, since: options.since ?? null };
    await showTimed(context, runs, run, sink, choice);
    return EXIT.succeeded;
  }
  if (options.raw && isOver && (await writeWholeLog(context, runs, run, { job, attempt }, sink))) return EXIT.succeeded;
  let isEmpty = true;
  if (!options.raw && options.since === undefined) {
    const lines = options.number ?? LINES;
    const recent = lastLines(await log.recent(lines, signal), lines);
    isEmpty = recent.length === 0;
    await sink.write(recent, signal);
  }
  if (options.follow && run.execution) {
    const onSilence = activityNotes(context, runs, run);
    const following = isEmpty ? { ...reading, onSilence } : reading;
    return await follow(context, run.execution, (execution) => followLog(following, execution));
  }
  if (!(await drainLog(reading)) && isEmpty) {
    if (options.since === undefined) await explainEmptyLog(context, runs, run, job);
    else
      terminal.note(
        `The job ${job} of run ${run.id} has written nothing in the last ${formatDuration(options.since)}.`,
      );
  }
  await sink.end(signal);
  return EXIT.succeeded;
}

/** Of one attempt, or from the latest one on. Of the last minutes several attempts may have lines. */
async function openLog(
  { account, signal }: Context,
  { runId, job }: { readonly runId: string; readonly job: JobName },
  { attempt, since }: Pick<LogsOptions, 'attempt' | 'since'>,
) {
  const streams = {
    group: await account.output('logGroup'),
    runId,
    job,
    ...(since === undefined ? {} : { since: Date.now() - since * 1_000 }),
  };
  if (attempt === undefined && since === undefined) return await AttemptsLog.latest(account.logs, streams, signal);
  if (attempt === undefined) return AttemptsLog.from(account.logs, streams, 1);
  const log = new JobLog(account.logs, { ...streams, attempt });
  return {
    attempt,
    recent: (lines: number) => log.recent(lines, signal),
    next: () => log.next(signal),
  };
}

/** Notes what the run does, once for each change. */
function activityNotes({ terminal, signal }: Context, { executions }: Runs, { arn, id }: Run): () => Promise<void> {
  const notes = retryNotes((line) => terminal.note(line));
  let shown = '';
  return async () => {
    const activity = await retryUntilReachable(() => activityOf(executions, arn), notes, signal);
    if (activity !== shown) terminal.note(`Run ${id} is ${activity} ...`);
    shown = activity;
  };
}

/** @param watch shows the log until the run has ended */
async function follow(
  { terminal, signal }: Context,
  run: Execution,
  watch: (run: Execution) => Promise<Execution>,
): Promise<ExitCode> {
  try {
    const ending = endingOf(await watch(run));
    terminal.note(`Run ${run.name}: ${ending?.outcome ?? 'unknown outcome'}. ${ending?.message ?? ''}`);
    return ending === null ? EXIT.runFailed : exitCodeOf(ending.outcome);
  } catch (error) {
    if (signal.aborted) printDetached(terminal, run.name);
    throw error;
  }
}

/** Prints the exact copy in S3. @returns false when there is none; the log in CloudWatch is then the next best */
async function writeWholeLog(
  { terminal, signal }: Context,
  { store }: Runs,
  { id }: Run,
  log: { readonly job: JobName; readonly attempt: number },
  sink: LogSink,
): Promise<boolean> {
  const chunks = await openWholeLog(store, { id, manifest: await store.manifest(id) }, log, signal);
  for await (const chunk of chunks ?? []) await sink.writeBytes(chunk, signal);
  if (chunks === null)
    terminal.warn(
      `the complete log of run ${id} is not in S3; the log from CloudWatch shows bytes that are not text as escapes`,
    );
  return chunks !== null;
}

/** Prints why the log is empty. */
async function explainEmptyLog({ terminal }: Context, { executions }: Runs, run: Run, job: JobName): Promise<void> {
  const { execution, arn, id } = run;
  if (execution !== null && isRunning(execution)) {
    terminal.note(
      `The job ${job} of run ${id} has written nothing yet. The run is ${await activityOf(executions, arn)}.`,
    );
  } else {
    terminal.note(`The job ${job} of run ${id} has no log. To see how the run ended: runctl status ${id}`);
  }
}

function jobOf({ install, sync, restore }: Pick<LogsOptions, 'install' | 'sync' | 'restore'>): JobName {
  return install ? 'install' : sync ? 'sync' : restore ? 'restore' : 'train';
}
