import type { JobName } from '../../../core/names.ts';
import type { SpotNotice } from '../../../core/protocol/answers.ts';
import type { RunnerRequest } from '../../../core/protocol/messages.ts';

/** A process of a command on the instance. */
export interface Running {
  /** Resolves with its standard output when it ends by itself. Never settles if it is killed. */
  readonly output: Promise<string>;
  kill(): void;
}

/** What really happened to a job, independent of what is reported. */
export interface JobTruth {
  readonly job: JobName;
  readonly attempt: number;
  /** How many of its processes were started. */
  readonly starts: number;
  /** exit.json. */
  readonly exit: {
    readonly code: number | null;
    readonly signal: string | null;
    readonly outOfMemory: boolean;
    readonly reason: string | null;
  } | null;
  /** How its process ended; null while it runs and if it was never started. */
  readonly end: { readonly code: number | null; readonly signal: string | null } | null;
  readonly log: Buffer;
}

export interface InstanceTruth {
  /** The id of the run that holds the instance. */
  readonly holder: string | null;
  /** The run ids in the queue, without expired tickets. */
  readonly tickets: readonly string[];
  /** By run id. */
  readonly jobs: ReadonlyMap<string, readonly JobTruth[]>;
  /** Times at which two runs used the instance at once. */
  readonly overlaps: readonly string[];
  /** Times at which two attempts of a run had jobs at once. */
  readonly doubledAttempts: readonly string[];
  /** Processes of any run that are still running. */
  readonly living: readonly string[];
  /** A request has come in this boot. */
  readonly isReached: boolean;
}

export type Victim = 'process' | 'supervisor' | 'both' | 'memory';

/** The instance: the model of the runner, or the real runner with real processes. */
export interface SoakInstance {
  /** Starts a command as the SSM document does. */
  execute(request: RunnerRequest): Running;
  /** Kills a process with kill -9 or as the kernel does when memory runs out. Ignores a missing one. */
  strike(runId: string, job: JobName, victim: Victim): void;
  /** Shuts the machine down; all processes end. `soft`: supervisors can still write. */
  powerOff(soft: boolean): void;
  /** What the instance metadata service says from now on; left out: it says nothing. */
  announce?(notice: SpotNotice | null): void;
  truth(): Promise<InstanceTruth> | InstanceTruth;
  remove(): Promise<void>;
}
