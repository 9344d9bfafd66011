import type { JobName } from '../../../core/names.ts';
import type { JobExit, JobResult, JobState, KeeperReport, SpotNotice } from '../../../core/protocol/answers.ts';
import type { CheckpointGrant } from '../../../core/protocol/messages.ts';
import type { Clock } from '../clock.ts';
import type { Save } from './checkpoint-files.ts';

/** What a job's process does by itself and on SIGTERM. Times in ms since its start. */
export interface JobPlan {
  readonly output: readonly { readonly at: number; readonly text: string }[];
  readonly lasts: number;
  readonly end: ProcessEnd;
  /** The reaction to SIGTERM: the process dies, continues, or exits with a code after a while (writing `text`). */
  readonly onTerm: 'dies' | 'ignores' | { readonly after: number; readonly code: number; readonly text: string };
  readonly result: JobResult | null;
  /** Of a restore: how it ends, known when it does; left out: `end` and `result`. */
  readonly finish?: () => { readonly end: ProcessEnd; readonly result: JobResult };
  /** Of a training: its checkpoints; left out: none. */
  readonly saves?: readonly Save[];
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly outOfMemory: boolean;
}

/** A process of a job: it writes to the job's log until it has ended. */
export class ModelProcess {
  end: ProcessEnd | null = null;
  /** What it reported when it ended by itself. */
  result: JobResult | null = null;
  /** Epoch ms. */
  endedAt: number | null = null;
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
    // The last bytes are written at the time of its end: timers of the same time fire in order.
    if (Number.isFinite(plan.lasts)) this.after(plan.lasts, () => this.endItself());
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
    this.endedAt = this.clock.now();
    for (const cancel of this.cancels) cancel();
    for (const watcher of this.watchers) watcher();
  }

  private endItself(): void {
    const { end, result } = this.plan.finish?.() ?? this.plan;
    this.result = result;
    this.finish(end);
  }

  private after(ms: number, call: () => void): void {
    this.cancels.push(this.clock.timer(ms, () => this.alive && call()));
  }
}

/** The folder of a job, and its running processes. */
export interface ModelJob {
  readonly name: JobName;
  readonly attempt: number;
  plan: JobPlan;
  /** input.json, until a supervisor has taken it. */
  input: { readonly maxDuration: number; readonly grace: number } | null;
  /** A supervisor holds the job's lock but has not yet written the identity of the process. */
  claimed: boolean;
  identity: { readonly pid: number; readonly bootId: string; readonly startedAt: number } | null;
  process: ModelProcess | null;
  /** The process that writes the job's end: its supervisor, or an orphan stopper. */
  supervisor: { readonly alive: boolean; wake(): void; interrupt(notice: SpotNotice): void; kill(): void } | null;
  stop: { readonly grace: number; readonly askedAt: number } | null;
  exit:
    | (JobExit & { readonly reason: 'stop' | 'max-duration' | 'interrupted' | null; readonly result: JobResult | null })
    | null;
  log: Buffer;
  /** Of a training whose checkpoints are sent. */
  keeper: { poll(grant: CheckpointGrant, isRunning: boolean): KeeperReport; kill(): void; end(): void } | null;
  /** How often it has been started again: restarted.json. */
  restarts: number;
  /** How many processes of the job were started. No marker records this. */
  starts: number;
}

export function newJob(name: JobName, attempt: number, plan: JobPlan): ModelJob {
  return {
    name,
    attempt,
    plan,
    input: null,
    claimed: false,
    identity: null,
    process: null,
    supervisor: null,
    stop: null,
    exit: null,
    log: Buffer.alloc(0),
    keeper: null,
    restarts: 0,
    starts: 0,
  };
}

/** As _forget in start.py: the job has not begun, and keeps its log. */
export function beginAgain(job: ModelJob): void {
  const why = wasInterrupted(job) ? 'was interrupted, by a reboot for example' : 'failed';
  job.restarts += 1;
  Object.assign(job, { identity: null, process: null, supervisor: null, exit: null });
  const isWhole = job.log.length === 0 || job.log.at(-1) === 0x0a;
  const line = `[runctl] the job ${why}; it is started again\n`;
  job.log = Buffer.concat([job.log, Buffer.from(isWhole ? line : `\n${line}`)]);
}

/** As was_interrupted in status.py, of a job that runs no more. */
export function wasInterrupted({ exit }: ModelJob): boolean {
  return exit === null || (exit.reason === null && exit.signal === 'SIGTERM');
}

/** As find_state in status.py. */
export function findState(job: ModelJob | undefined, bootId: string): JobState {
  if (job === undefined) return 'absent';
  if (job.exit) return job.exit.reason === null ? 'exited' : 'stopped';
  if (job.identity === null) return job.claimed ? 'running' : 'absent';
  if (job.identity.bootId !== bootId) return 'vanished';
  return job.supervisor?.alive || job.process?.alive ? 'running' : 'vanished';
}
