import type { JobName } from '../names.ts';
import type { EndedAttempt, Instance, JobSnapshot, PlanOutput, RestoreOutput, VerifyOutput } from './data.ts';
import { JOB_STATES, RUN_STATES, WATCHES } from './states.ts';

/** A state of an execution was entered or left. */
export interface StateEvent {
  readonly kind: 'entered' | 'exited';
  readonly state: string;
  /** Epoch milliseconds, by the service's clock. */
  readonly at: number;
  /** The state's output when it was left: JSON, or null. */
  readonly output: string | null;
}

export interface StateTime {
  readonly name: string;
  readonly entered: number;
  readonly seconds: number;
}

/** How long each state lasted, in the order in which they were first entered. The one that lasts still is counted until `now` (epoch ms). */
export function stateTimes(events: readonly StateEvent[], now: number): StateTime[] {
  const times = new Map<string, { entered: number; ms: number; since: number | null }>();
  for (const { kind, state, at } of events) {
    const time = times.get(state) ?? { entered: 0, ms: 0, since: null };
    times.set(state, time);
    if (kind === 'entered') {
      time.entered += 1;
      time.since = at;
    } else if (time.since !== null) {
      time.ms += at - time.since;
      time.since = null;
    }
  }
  return [...times].map(([name, { entered, ms, since }]) => ({
    name,
    entered,
    seconds: (ms + (since === null ? 0 : Math.max(0, now - since))) / 1_000,
  }));
}

/** What an execution of runctl-run had established, read from its history. */
export interface RunSoFar {
  readonly verified: VerifyOutput | null;
  readonly instance: Instance | null;
  readonly sync: JobSnapshot | null;
  readonly install: JobSnapshot | null;
  readonly restore: JobSnapshot | null;
  readonly train: JobSnapshot | null;
  /** The attempts before the one that is under way. */
  readonly attempts: readonly EndedAttempt[];
  /** How many nested watches came to their end. */
  readonly watches: number;
  /** The job whose nested watch was under way when the execution ended. */
  readonly watching: JobName | null;
}

type Writable = { -readonly [Key in keyof RunSoFar]: RunSoFar[Key] };

export function readRun(events: readonly StateEvent[]): RunSoFar {
  const run: Writable = {
    verified: null,
    instance: null,
    sync: null,
    install: null,
    restore: null,
    train: null,
    attempts: [],
    watches: 0,
    watching: null,
  };
  for (const { kind, state, output } of events) {
    const job = JOB_STATES[state];
    const isWatch = job !== undefined && WATCHES[job] === state;
    if (kind === 'entered' && isWatch) run.watching = job;
    // A state that was left by its Catch has the error as output; nothing that is read here follows it.
    const value = kind === 'exited' ? parse(output) : null;
    if (value === null) continue;
    if (isWatch) {
      run.watches += 1;
      run.watching = null;
    }
    if (state === RUN_STATES.verify && 'archive' in value) run.verified = value as unknown as VerifyOutput;
    if (state === RUN_STATES.find && 'id' in value) run.instance = value as unknown as Instance;
    if (state === RUN_STATES.plan && 'plan' in value) applyPlan(run, value as unknown as PlanOutput);
    if (state === RUN_STATES.restore && 'step' in value) applyRestore(run, value as unknown as RestoreOutput);
    else if (job && 'cursor' in value) run[job] = value as unknown as JobSnapshot;
  }
  return run;
}

function applyPlan(run: Writable, { plan, watches, sync, install, restore, train }: PlanOutput): void {
  Object.assign(run, { watches, sync, install, restore, train, attempts: plan.attempts });
  if (plan.next !== 'attempt') return;
  run.instance = plan.instance;
  if (run.verified && plan.run) run.verified = { ...run.verified, run: plan.run };
}

function applyRestore(run: Writable, { run: settled, step }: RestoreOutput): void {
  run.restore = step;
  if (run.verified) run.verified = { ...run.verified, run: settled };
}

/** The snapshot that a nested watch reached: the output of its last poll, or what it began with. Both as JSON, or null. */
export function readWatch(lastPoll: string | null, input: string | null): JobSnapshot | null {
  const value = parse(lastPoll) ?? (parse(input)?.step as Record<string, unknown> | undefined) ?? null;
  return value !== null && 'cursor' in value ? (value as unknown as JobSnapshot) : null;
}

/** Whether a state was left by its Catch: its output is then the error. */
export function isCaught(output: string | null): boolean {
  return 'Error' in (parse(output) ?? {});
}

function parse(text: string | null): Record<string, unknown> | null {
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null; // Truncated by the service: as if the state had no output.
  }
}
