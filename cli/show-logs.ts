import type { JobName } from '../core/names.ts';
import { formatDuration } from '../core/units.ts';
import type { Context } from './context.ts';
import { sayDetached } from './detach.ts';
import { EXIT, type ExitCode } from './errors.ts';
import type { Execution } from './executions.ts';
import { drainLog, followLog } from './follow-log.ts';
import { JobLog, type LogMessage } from './job-log.ts';
import { LogSink } from './log-sink.ts';
import { retryNotes } from './retry.ts';
import { doing, endingOf, isRunning } from './run-words.ts';
import { type Run, Runs } from './runs.ts';
import { projectFor } from './which-project.ts';

const LINES = 50;

export interface LogsOptions {
  readonly project?: string;
  readonly number?: number;
  readonly follow?: true;
  readonly live?: true;
  readonly install?: true;
  readonly sync?: true;
  /** Seconds. */
  readonly since?: number;
  readonly raw?: true;
  readonly json?: true;
}

/** What `runctl logs` does. */
export async function showLogs(context: Context, wanted: string | undefined, options: LogsOptions): Promise<ExitCode> {
  const { account, terminal, signal } = context;
  const runs = await Runs.of(account);
  const run = await runs.find(wanted, () => projectFor(context, options));
  const job = jobOf(options);
  const log = new JobLog(account.logs, {
    group: await account.output('logGroup'),
    runId: run.id,
    job,
    ...(options.since === undefined ? {} : { since: Date.now() - options.since * 1_000 }),
  });
  const format = options.raw ? 'raw' : options.json ? 'json' : 'text';
  const sink = new LogSink(terminal.out, { job, format });
  const notes = retryNotes((line) => terminal.note(line));
  const reading = { log, sink, executions: runs.executions, notes, signal };
  let isEmpty = true;
  if (!options.raw && options.since === undefined) {
    const lines = options.number ?? LINES;
    const recent = lastLines(await log.recent(lines, signal), lines);
    isEmpty = recent.length === 0;
    await sink.write(recent, signal);
  }
  if (options.follow && run.execution) return await follow(context, reading, run.execution);
  if (!(await drainLog(reading)) && isEmpty) {
    if (options.since === undefined) await explain(context, runs, run, job);
    else
      terminal.note(
        `The job ${job} of run ${run.id} has written nothing in the last ${formatDuration(options.since)}.`,
      );
  }
  await sink.end(signal);
  return EXIT.succeeded;
}

async function follow(
  { terminal, signal }: Context,
  reading: Parameters<typeof followLog>[0],
  run: Execution,
): Promise<ExitCode> {
  try {
    const ended = endingOf(await followLog(reading, run));
    terminal.note(`Run ${run.name}: ${ended?.outcome ?? 'forgotten'}. ${ended?.message ?? ''}`);
    return ended?.outcome === 'succeeded' ? EXIT.succeeded : EXIT.runFailed;
  } catch (error) {
    if (signal.aborted) sayDetached(terminal, run.name);
    throw error;
  }
}

/** Says why there is nothing to see. */
async function explain({ terminal }: Context, { executions }: Runs, run: Run, job: JobName): Promise<void> {
  const { execution, arn, id } = run;
  if (execution !== null && isRunning(execution)) {
    terminal.note(
      `The job ${job} of run ${id} has written nothing yet; it is ${doing(await executions.lastState(arn))}.`,
    );
  } else {
    terminal.note(`There is no log of the job ${job} of run ${id}. How it ended: npx runctl status ${id}`);
  }
}

function jobOf({ install, sync }: Pick<LogsOptions, 'install' | 'sync'>): JobName {
  return install ? 'install' : sync ? 'sync' : 'train';
}

/** The last so many lines of messages that may be parts of lines. */
export function lastLines(messages: readonly LogMessage[], count: number): readonly LogMessage[] {
  let lines = messages.at(-1)?.text.endsWith('\n') === false ? 1 : 0;
  for (let index = messages.length - 1; index >= 0; index -= 1) {
    if (messages[index]?.text.endsWith('\n')) lines += 1;
    if (lines > count) return messages.slice(index + 1);
  }
  return messages;
}
