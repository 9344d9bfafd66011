import type { JobName } from '../../../core/names.ts';
import type { RunnerRequest } from '../../../core/protocol/messages.ts';

/** A process of a command on the instance. */
export interface Running {
  /** Its standard output, when it has ended by itself; never settles when it was killed. */
  readonly output: Promise<string>;
  kill(): void;
}

/** What really happened to a job, whoever says what. */
export interface JobTruth {
  /** How often a process of it has begun. */
  readonly starts: number;
  /** exit.json. */
  readonly exit: {
    readonly code: number | null;
    readonly signal: string | null;
    readonly outOfMemory: boolean;
    readonly reason: string | null;
  } | null;
  /** How its process really ended; null while it lives, and when it never began. */
  readonly end: { readonly code: number | null; readonly signal: string | null } | null;
  readonly log: Buffer;
}

export interface InstanceTruth {
  /** Run id of who holds the instance. */
  readonly holder: string | null;
  /** Run ids in the queue, void tickets left out. */
  readonly tickets: readonly string[];
  /** By run id. */
  readonly jobs: ReadonlyMap<string, ReadonlyMap<JobName, JobTruth>>;
  /** Times at which two runs used the instance at once. */
  readonly overlaps: readonly string[];
  /** What still lives of anybody. */
  readonly living: readonly string[];
}

export type Victim = 'process' | 'supervisor' | 'both' | 'memory';

/** The machine that trains: the model of the runner, or the real one with real processes. */
export interface SoakInstance {
  /** Starts a command as the SSM documents do. */
  execute(request: RunnerRequest): Running;
  /** kill -9, or the kernel for want of memory. Nothing happens when it is not there. */
  strike(runId: string, job: JobName, victim: Victim): void;
  /** The machine goes down; nothing of it lives afterwards. `soft`: supervisors can still write. */
  powerOff(soft: boolean): void;
  truth(): Promise<InstanceTruth> | InstanceTruth;
  remove(): Promise<void>;
}
