import type { JobExit, JobProgress, JobResult, JobState, LeaseHolder } from './job-protocol.ts';
import type { JobName } from './names.ts';
import type { RunSpec } from './spec.ts';

/** What each state of runctl-run takes and gives. Small and typed: no URL, no secret, log text only as the last lines of an ended job. */

export interface Run {
  /** The execution's name. */
  readonly id: string;
  /** Folder name under `<root>/runs` on the instance. */
  readonly key: string;
  readonly arn: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** SHA-256 of the runner the run began with; it keeps it, whatever is deployed meanwhile. */
  readonly runner: string;
}

/** `$states.context` as the machine hands it on. */
export interface StepContext {
  /** ISO 8601, UTC; the same on every retry of the state. */
  readonly enteredAt: string;
  readonly retryCount: number;
}

export interface VerifiedArchive {
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string | null;
  readonly sha256: string;
  readonly bytes: number;
  readonly files: number;
  readonly expandedBytes: number;
  /** The single top folder that is stripped, or null. */
  readonly strip: string | null;
  readonly requirements: string | null;
  readonly gitCommit: string | null;
}

export interface VerifyInput {
  readonly execution: { readonly name: string; readonly arn: string; readonly startedAt: string };
  readonly input: unknown;
}

export interface VerifyOutput {
  readonly run: Run;
  readonly spec: RunSpec & { readonly project: string; readonly instance: string; readonly script: string };
  readonly archive: VerifiedArchive;
  readonly warnings: readonly string[];
}

export interface Instance {
  readonly id: string;
  readonly root: string;
  readonly home: string | null;
  readonly user: string | null;
  readonly platform: string;
  readonly type: string;
  readonly image: string;
}

export interface FindInput extends VerifyOutput {}

/** Where the reading of a job's log stands. */
export interface LogCursor {
  /** Raw bytes of the log that stand in CloudWatch. */
  readonly offset: number;
  /** Epoch milliseconds of the last events sent; the next ones come later, so that a retry can tell its own. */
  readonly eventTime: number;
  /** Epoch milliseconds of events that an attempt may have sent which did not live to say so: read back before the next are sent. */
  readonly unsettledTime?: number;
}

/** What is known of a job after a step: the output of Sync code … Watch training. */
export interface JobStep {
  readonly job: JobName;
  readonly state: JobState | 'skipped';
  /** The job has ended and its log is whole in CloudWatch. */
  readonly ended: boolean;
  /** Ended well: exit code 0. */
  readonly ok: boolean;
  readonly more: boolean;
  /** Seconds until the next poll. */
  readonly wait: number;
  readonly pid: number | null;
  readonly confirmed: boolean;
  readonly reason: string | null;
  readonly exit: JobExit | null;
  readonly progress: JobProgress | null;
  readonly result: JobResult | null;
  readonly holder: LeaseHolder | null;
  readonly tail: readonly string[] | null;
  readonly cursor: LogCursor;
  /** Epoch seconds since when the instance has not answered; null when it does. */
  readonly silentSince: number | null;
  readonly pollFailures: number;
}

/** Input of every state that speaks with the instance. */
export interface JobInput extends VerifyOutput {
  readonly instance: Instance;
  readonly context: StepContext;
  /** The step so far; null before the job's first. */
  readonly step: JobStep | null;
}

export interface WatchInput extends JobInput {
  readonly step: JobStep;
}

export interface Failure {
  readonly Error: string;
  readonly Cause: string;
  readonly state: string;
}

export interface FinishInput {
  readonly run: Run | null;
  readonly spec: VerifyOutput['spec'] | null;
  readonly archive: VerifiedArchive | null;
  readonly instance: Instance | null;
  readonly warnings: readonly string[];
  readonly sync: JobStep | null;
  readonly install: JobStep | null;
  readonly train: JobStep | null;
  readonly failure: Failure | null;
}

export interface FinishOutput {
  readonly outcome: string;
  readonly message: string;
  readonly pid: number | null;
  readonly exitCode: number | null;
  readonly warnings: readonly string[];
  /** Of the Fail state; null when the run succeeded. */
  readonly error: string | null;
  /** JSON: outcome, message, next, exitCode, lastLines. */
  readonly cause: string | null;
}
