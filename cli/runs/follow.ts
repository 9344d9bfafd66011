import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import type { SFNClient } from '@aws-sdk/client-sfn';
import { type Execution, type Executions, executionsOver } from '../../aws/executions.ts';
import { RunHistory } from '../../aws/run-history.ts';
import type { StateEvent } from '../../core/workflow/history.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';
import { type RetryNotes, retryUntilReachable } from '../account/retry.ts';
import { type LogLine, RunLogs } from '../logs/run-logs.ts';
import { pollUntil } from '../terminal/poll.ts';

/** Often enough to feel live; far below what the two services allow (GetLogEvents: 25 a second). */
const POLL_MS = 400;
/** CloudWatch shows new events a little late: after the end this many reads in a row must return nothing (1.2 s). */
const QUIET_READS = 4;

export interface FollowedRun {
  readonly executionArn: string;
  readonly runId: string;
  readonly logGroup: string;
}

export interface RunClients {
  readonly sfn: Pick<SFNClient, 'send'>;
  readonly logs: Pick<CloudWatchLogsClient, 'send'>;
}

/** A state or a log line of a run. `sinceStart` in seconds. */
export type RunEvent =
  | { readonly kind: 'state'; readonly event: StateEvent; readonly sinceStart: number }
  | { readonly kind: 'line'; readonly line: LogLine };

/** An execution that has ended. */
export type RunEnd = Execution & { readonly endedAt: number };

/**
 * Follows a run that has been started: passes each state and each log line to `show` once, in the order of their times,
 * until the execution has ended and its log is read completely. Waits while the network is down.
 * @throws an error that waiting cannot resolve, such as expired credentials
 */
export async function followRun(
  clients: RunClients,
  run: FollowedRun,
  { show, notes }: { show: (event: RunEvent) => void; notes: RetryNotes },
  signal: AbortSignal,
): Promise<RunEnd> {
  const history = new RunHistory(clients.sfn, run.executionArn);
  const logs = new RunLogs(clients.logs, run.logGroup, run.runId);
  const beginsAttempt = attemptWatcher();
  let quiet = 0;
  const readEvents = async () => {
    const states = await retryUntilReachable(() => history.read(signal), notes, signal);
    // After the history, so that a line from before a state began is included and shown before the state.
    const lines = await retryUntilReachable(() => logs.read(signal), notes, signal);
    for (const event of states) if (beginsAttempt(event)) logs.addAttempt();
    for (const event of inOrder(states, lines, history.startedAt ?? 0)) show(event);
    quiet = history.ended && lines.length === 0 ? quiet + 1 : 0;
    return quiet < QUIET_READS ? undefined : true;
  };
  await pollUntil(POLL_MS, readEvents, signal);
  for (const line of logs.rest()) show({ kind: 'line', line });
  return await retryUntilReachable(() => endOf(executionsOver(clients.sfn), run.executionArn, signal), notes, signal);
}

/** Notices that a further attempt begins: with the first state after the decision for it. */
function attemptWatcher(): (event: StateEvent) => boolean {
  let isDecided = false;
  return ({ kind, state }) => {
    if (kind !== 'entered') return false;
    const begins = isDecided && state === RUN_STATES.sync;
    isDecided = state === RUN_STATES.plan;
    return begins;
  };
}

/** Waits until the execution exists. @returns false when it does not within `withinMs`. */
export async function waitForStart(
  sfn: Pick<SFNClient, 'send'>,
  executionArn: string,
  withinMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  const hasStarted = async () => {
    if ((await executionsOver(sfn).describe(executionArn, signal)) !== null) return true;
    return Date.now() < deadline ? undefined : false;
  };
  return await pollUntil(POLL_MS, hasStarted, signal);
}

function inOrder(states: readonly StateEvent[], lines: readonly LogLine[], startedAt: number): RunEvent[] {
  const timed = [
    ...lines.map((line) => ({ at: line.at, event: { kind: 'line', line } as const })),
    ...states.map((event) => ({
      at: event.at,
      event: { kind: 'state', event, sinceStart: (event.at - startedAt) / 1_000 } as const,
    })),
  ];
  return timed.sort((a, b) => a.at - b.at).map(({ event }) => event);
}

async function endOf(executions: Pick<Executions, 'describe'>, arn: string, signal: AbortSignal): Promise<RunEnd> {
  const execution = await executions.describe(arn, signal);
  const endedAt = execution?.endedAt ?? null;
  if (execution !== null && endedAt !== null) return { ...execution, endedAt };
  throw new Error(`The history of ${arn} has ended, but Step Functions does not report an end.`);
}
