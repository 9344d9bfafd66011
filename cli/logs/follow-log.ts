import type { Execution, Executions } from '../../aws/executions.ts';
import { isRunning } from '../../aws/executions.ts';
import { type RetryNotes, retryUntilReachable } from '../account/retry.ts';
import { pollUntil } from '../terminal/poll.ts';
import type { JobLog } from './job-log.ts';
import type { LogSink } from './log-sink.ts';

const POLL_MS = 1_000;
/** CloudWatch shows new events a little late: after the end this many reads in a row must return nothing. */
const QUIET_READS = 3;

interface Following {
  readonly log: Pick<JobLog, 'next'>;
  readonly sink: Pick<LogSink, 'write' | 'end'>;
  readonly executions: Pick<Executions, 'describe'>;
  readonly notes: RetryNotes;
  readonly signal: AbortSignal;
  /** Called at each poll until the log has something: what the run does is the only sign of life then. */
  readonly onSilence?: () => Promise<void>;
}

/** Writes what CloudWatch has after what has been read. @returns whether there was anything */
export async function drainLog({ log, sink, notes, signal }: Omit<Following, 'executions'>): Promise<boolean> {
  for (let any = false; ; ) {
    const { messages, atEnd } = await retryUntilReachable(() => log.next(signal), notes, signal);
    await sink.write(messages, signal);
    any ||= messages.length > 0;
    if (atEnd) return any;
  }
}

/** Follows the log in CloudWatch until the execution has ended and its log is read completely. @returns the ended execution */
export async function followLog(following: Following, run: Execution): Promise<Execution> {
  const { executions, sink, notes, signal } = following;
  let execution = run;
  let quiet = 0;
  let isSilent = true;
  const readLog = async () => {
    // Before reading the log, so that what the run wrote before it ended is included.
    if (isRunning(execution))
      execution = (await retryUntilReachable(() => executions.describe(run.arn, signal), notes, signal)) ?? execution;
    const any = await drainLog(following);
    isSilent &&= !any;
    if (isSilent && isRunning(execution)) await following.onSilence?.();
    quiet = any || isRunning(execution) ? 0 : quiet + 1;
    return quiet < QUIET_READS ? undefined : execution;
  };
  const ended = await pollUntil(POLL_MS, readLog, signal);
  await sink.end(signal);
  return ended;
}
