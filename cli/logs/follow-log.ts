import { setTimeout } from 'node:timers/promises';
import type { Execution, Executions } from '../../aws/executions.ts';
import { isRunning } from '../../aws/executions.ts';
import { type RetryNotes, retryUntilReachable } from '../account/retry.ts';
import type { JobLog } from './job-log.ts';
import type { LogSink } from './log-sink.ts';

const LOOK_MS = 1_000;
/** CloudWatch shows new events a little late: after the end this many looks in a row must bring nothing. */
const QUIET_LOOKS = 3;

interface Following {
  readonly log: Pick<JobLog, 'next'>;
  readonly sink: Pick<LogSink, 'write' | 'end'>;
  readonly executions: Pick<Executions, 'describe'>;
  readonly notes: RetryNotes;
  readonly signal: AbortSignal;
}

/** Writes what there is in CloudWatch behind what has been read. */
export async function drainLog({ log, sink, notes, signal }: Omit<Following, 'executions'>): Promise<boolean> {
  for (let any = false; ; ) {
    const { messages, atEnd } = await retryUntilReachable(() => log.next(signal), notes, signal);
    await sink.write(messages, signal);
    any ||= messages.length > 0;
    if (atEnd) return any;
  }
}

/** Follows the log in CloudWatch until the execution has ended and its log is read to the end. @returns how it ended */
export async function followLog(following: Following, run: Execution): Promise<Execution> {
  const { executions, sink, notes, signal } = following;
  let now = run;
  for (let quiet = 0; quiet < QUIET_LOOKS; ) {
    // Before the log: what the run wrote until then is read with it.
    if (isRunning(now))
      now = (await retryUntilReachable(() => executions.describe(run.arn, signal), notes, signal)) ?? now;
    const any = await drainLog(following);
    quiet = any || isRunning(now) ? 0 : quiet + 1;
    if (quiet < QUIET_LOOKS) await setTimeout(LOOK_MS, undefined, { signal });
  }
  await sink.end(signal);
  return now;
}
