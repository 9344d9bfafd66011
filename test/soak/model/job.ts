import type { JobName } from '../../../core/names.ts';
import type { JobExit, JobResult, JobState } from '../../../core/protocol/answers.ts';
import type { Clock } from '../clock.ts';

/** What a job's process does by itself, and when it is told to end. Times in ms since its beginning. */
export interface JobPlan {
  readonly output: readonly { readonly at: number; readonly text: string }[];
  readonly lasts: number;
  readonly end: ProcessEnd;
  /** What a TERM does: the process dies of it, goes on, or leaves with a code after a while (writing `text`). */
  readonly onTerm: 'dies' | 'ignores' | { readonly after: number; readonly code: number; readonly text: string };
  readonly result: JobResult | null;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly outOfMemory: boolean;
}

/** A process of a job: it writes to the job's log until it has ended. */
export class ModelProcess {
  end: ProcessEnd | null = null;
  private readonly cancels: (() => void)[] = [];
  private readonly plan: JobPlan;
  private readonly clock: Clock;
  private readonly write: (text: string) => void;
  private readonly watchers: (() => void)[] = [];

  constructor(clock: Clock, plan: JobPlan, write: (text: string) => void) {
    this.plan = plan;
    this.clock = clock;
    this.write = write;
    for (const { at, text } of plan.output) this.after(Math.min(at, plan.lasts), () => write(text));
    // Its last bytes are written in the moment of its end: the timers of one moment come in order.
    if (Number.isFinite(plan.lasts)) this.after(plan.lasts, () => this.finish(plan.end));
  }

  get alive(): boolean {
    return this.end === null;
  }

  whenEnded(call: () => void): void {
    if (this.alive) this.watchers.push(call);
    else call();
  }

  term(): void {
    if (!this.alive) return;
    const { onTerm } = this.plan;
    if (onTerm === 'ignores') return;
    if (onTerm === 'dies') {
      this.finish({ code: null, signal: 'SIGTERM', outOfMemory: false });
      return;
    }
    this.after(onTerm.after, () => {
      this.write(onTerm.text);
      this.finish({ code: onTerm.code, signal: null, outOfMemory: false });
    });
  }

  kill(): void {
    this.finish({ code: null, signal: 'SIGKILL', outOfMemory: false });
  }

  finish(end: ProcessEnd): void {
    if (!this.alive) return;
    this.end = end;
    for (const cancel of this.cancels) cancel();
    for (const watcher of this.watchers) watcher();
  }

  private after(ms: number, call: () => void): void {
    this.cancels.push(this.clock.timer(ms, () => this.alive && call()));
  }
}

/** The folder of a job, and what of it lives. */
export interface ModelJob {
  readonly name: JobName;
  readonly plan: JobPlan;
  /** input.json: no supervisor has taken it yet. */
  input: { readonly maxDuration: number; readonly grace: number } | null;
  /** A supervisor holds the job's lock and has not yet written whom it stands over. */
  claimed: boolean;
  identity: { readonly pid: number; readonly bootId: string; readonly startedAt: number } | null;
  process: ModelProcess | null;
  /** Whoever writes how the job ends: its supervisor, or a stopper in its stead. */
  supervisor: { readonly alive: boolean; wake(): void; kill(): void } | null;
  stop: { readonly grace: number; readonly askedAt: number } | null;
  exit: (JobExit & { readonly reason: 'stop' | 'max-duration' | null; readonly result: JobResult | null }) | null;
  log: Buffer;
  /** How often a process of it has begun: the truth, which no marker tells. */
  starts: number;
}

export function newJob(name: JobName, plan: JobPlan): ModelJob {
  return {
    name,
    plan,
    input: null,
    claimed: false,
    identity: null,
    process: null,
    supervisor: null,
    stop: null,
    exit: null,
    log: Buffer.alloc(0),
    starts: 0,
  };
}

/** status.py: find_state. */
export function findState(job: ModelJob | undefined, bootId: string): JobState {
  if (job === undefined) return 'absent';
  if (job.exit) return job.exit.reason === null ? 'exited' : 'stopped';
  if (job.identity === null) return job.claimed ? 'running' : 'absent';
  if (job.identity.bootId !== bootId) return 'vanished';
  return job.supervisor?.alive || job.process?.alive ? 'running' : 'vanished';
}
