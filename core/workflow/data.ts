import type { CostCap } from '../cost/cost-cap.ts';
import type { Price } from '../cost/price.ts';
import type { ErrorName, Outcome } from '../errors.ts';
import type { LatestMetrics } from '../metrics/latest.ts';
import type { JobName } from '../names.ts';
import type {
  CollectedFile,
  JobExit,
  JobProgress,
  JobResult,
  JobState,
  JobStates,
  LeaseHolder,
  QueuePlace,
  SpotNotice,
  UsageSample,
} from '../protocol/answers.ts';
import type { Sent } from '../sent.ts';
import type { RunSpec } from '../spec/spec.ts';
import type { RunEnding } from './run-ending.ts';

/** Input and output of each state of runctl-run. Small and typed: no URL, no secret, log text only as the last lines of an ended job. */

export interface Run {
  /** The execution's name. */
  readonly id: string;
  /** Folder name under `<root>/runs` on the instance. */
  readonly key: string;
  readonly arn: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly program: RunProgram;
  /** Of the attempt that is under way, from 1. Left out, like the rest, by a first attempt. */
  readonly attempt?: number;
  /** Seconds that the trainings of earlier attempts took. */
  readonly trainedSeconds?: number;
  /** Dollars that the instances of earlier attempts cost. null: the price of one is not known. */
  readonly spentUsd?: number | null;
  /** Where this attempt goes on. */
  readonly resume?: ResumePlan;
}

/** The checkpoints that an attempt goes on with. */
export interface ResumePlan {
  /** The first run of those that continue one another. */
  readonly lineage: string;
  /** The number of the attempt's first checkpoint: larger than all before. */
  readonly firstSeq: number;
  /** What is restored; null: the attempt begins anew. */
  readonly checkpoint: ResumeCheckpoint | null;
  /** It is the checkpoint before the newest, with which the attempt before died at once. */
  readonly isFallback?: boolean;
  /** Those of the lineage that are in the bucket. */
  readonly kept: CheckpointProgress['kept'];
}

export interface ResumeCheckpoint {
  readonly seq: number;
  /** The run that saved it. */
  readonly run: string;
  /** Path in the project. */
  readonly name: string;
  readonly format: string;
  readonly bytes: number;
  readonly marked: boolean;
  /** ISO 8601, UTC. */
  readonly committedAt: string;
}

/** An attempt that has ended, as the manifest lists it. */
export interface EndedAttempt {
  readonly attempt: number;
  readonly outcome: Outcome;
  readonly error: ErrorName | null;
  readonly message: string;
  readonly instance: string;
  /** That its training took; 0: it did not begin. */
  readonly seconds: number;
  /** Estimate of what its instance cost; null: the price is not known. Left out by an older version. */
  readonly usd?: number | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly resumedFrom: { readonly run: string; readonly seq: number; readonly name: string } | null;
  /** The newest checkpoint that it committed. */
  readonly saved: { readonly seq: number; readonly name: string } | null;
  /** ISO 8601, UTC. */
  readonly endedAt: string;
}

/** What the instance runs for a run. A run keeps the program and the document that it began with, whatever is deployed meanwhile. */
export interface RunProgram {
  /** Hex. */
  readonly sha256: string;
  /** Number of the version of the document that runs this program. */
  readonly documentVersion: string;
  /** Where an instance that lacks the program fetches it. */
  readonly bucket: string;
  readonly key: string;
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
  /** Something in it is not as that commit has it; null without a commit. */
  readonly gitDirty: boolean | null;
  /** Bytes of the patch that it was assembled from; null: it was uploaded whole. Left out as `indexed`. */
  readonly patchBytes?: number | null;
  /** What the command says that it sent; null: unknown, or not believable. Left out as `indexed`. */
  readonly sent?: Sent | null;
  /** Its index was written. Left out by a run that began with an older version. */
  readonly indexed?: boolean;
}

export interface AssembleInput {
  readonly execution: { readonly name: string };
  readonly input: unknown;
  /** People or schedules will name the archive: it does not expire. Left out: a run alone does. */
  readonly keep?: boolean;
}

/** The archive that was made of a patch. */
export interface AssembledArchive {
  readonly versionId: string | null;
  readonly bytes: number;
  /** Bytes of it that are the base's. */
  readonly keptBytes: number;
  readonly patchBytes: number;
}

export interface VerifyInput {
  readonly execution: { readonly name: string; readonly arn: string; readonly startedAt: string };
  readonly input: unknown;
  /** Null, or left out by a run that began with an older version: the archive was uploaded as a whole. */
  readonly assembled?: AssembledArchive | null;
}

export interface VerifyOutput {
  readonly run: Run;
  readonly spec: RunSpec & { readonly project: string; readonly instance: string };
  readonly archive: VerifiedArchive;
  readonly warnings: readonly string[];
}

export interface Instance {
  readonly id: string;
  readonly root: string;
  readonly home: string | null;
  /** User that runs the jobs; null: the runner's own default. */
  readonly user: string | null;
  /** Other users that a run may name. */
  readonly users: readonly string[];
  /** Projects that may use the instance; null: every project. */
  readonly projects: readonly string[] | null;
  /** Jobs reach the instance metadata service. */
  readonly imds: boolean;
  readonly platform: string;
  readonly type: string;
  readonly image: string;
  /** null: not known. Left out by a run that began with an older version. */
  readonly price?: Price | null;
  /** runctl may start and stop it. Left out: it may not. */
  readonly managed?: true;
  /** Of a managed one, its tag: seconds. Left out: it has none that can be read. */
  readonly stopAfter?: number | 'never';
  /** It may shut itself down: it is managed, or a bake made it, and that stops it and does not terminate it. */
  readonly mayShutDown?: true;
}

/** Of an execution of runctl-power: the instance, and the run after whose end, or for which, it is watched. */
export interface PowerInput {
  readonly run: Pick<Run, 'id' | 'key' | 'arn' | 'program'>;
  readonly project: string;
  readonly user: string | null;
  readonly instance: Instance;
  /** Seconds that no run has used it before it is stopped. */
  readonly stopAfter: number;
  /** Seconds until the first look. */
  readonly wait: number;
}

/** Of Stop if idle, whose execution began at `startedAt` (ISO 8601). */
export interface StopIdleInput extends PowerInput {
  readonly startedAt: string;
}

export interface StopIdleOutput {
  /** Seconds until the next look; null: the execution ends. */
  readonly wait: number | null;
  /** What was found, for people. */
  readonly message: string;
}

export interface FindInput extends VerifyOutput {
  /** Of the visit before; null: it did not wait. Left out by a run that began with an older version: it cannot wait. */
  readonly starting?: Starting | null;
}

/** The instance, or what the run waits for: the state Find instance is then entered again. */
export type FindOutput = Instance | { readonly starting: Starting };

/** An instance that is on its way to running. */
export interface Starting {
  readonly id: string;
  /** `stopping`: it is started when it has stopped. `booting`: EC2 starts it, or its agent is not online yet. */
  readonly kind: 'stopping' | 'booting' | 'no-capacity';
  /** What the run waits for, for people. */
  readonly message: string;
  /** Epoch seconds since when the run waits. */
  readonly since: number;
  /** Seconds until the next visit. */
  readonly wait: number;
  /** Starts that EC2 has accepted. */
  readonly starts: number;
}

/** How far a job's log has been read. */
export interface LogCursor {
  /** Raw bytes of the log that CloudWatch has. */
  readonly offset: number;
  /** Epoch milliseconds of the last events sent; the next ones come later, so that a retry can recognize its own. */
  readonly eventTime: number;
  /**
   * There may be events later than `eventTime`, of attempts that were killed: they are read back before the next are sent. This many UTF-8
   * bytes of them are log before `offset`.
   */
  readonly unsettled?: number;
}

/** Of a run that found the instance busy. */
export interface Waiting {
  /** Epoch seconds, by the Lambda's clock. */
  readonly since: number;
  /** Why it stopped waiting; null while it waits. */
  readonly over: 'refuse' | 'skip' | 'max-wait' | null;
  /** A holder whose execution has ended: since when (epoch seconds) its clean-up is under way. */
  readonly clearing: { readonly arn: string; readonly since: number } | null;
  /** People have been notified that it waits long. */
  readonly notified?: boolean;
}

/** What is known of a job after a state: the output of Sync code … Watch training. */
export interface JobSnapshot {
  readonly job: JobName;
  readonly state: JobState;
  /** The job has ended and its log is whole in CloudWatch. */
  readonly ended: boolean;
  /** Ended with exit code 0. */
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
  readonly queue: QueuePlace | null;
  /** Of Sync code on a busy instance. */
  readonly waiting: Waiting | null;
  readonly tail: readonly string[] | null;
  readonly cursor: LogCursor;
  /** Bytes of log that wait on the instance. */
  readonly backlog: number;
  /** CloudWatch has maxLogBytes of it. */
  readonly logFull: boolean;
  /** Epoch seconds since when the instance has not answered; null when it does. */
  readonly silentSince: number | null;
  /** Seconds that the job had run at the poll, by the instance's clock. */
  readonly elapsed?: number;
  readonly polls: number;
  readonly pollFailures: number;
  /** It was interrupted, and has been started again. */
  readonly again?: boolean;
  /** Of a training: the metrics in its log. Missing before its first poll, and of a run of an older version. */
  readonly metrics?: LatestMetrics;
  /** Of a training: the latest sample of what it uses. */
  readonly usage?: UsageSample;
  /** Of an install or a training: how long maxCost lets it last. Missing where it lets it last as long as it may anyway. */
  readonly costCap?: CostCap;
  /** Of a training: its checkpoints. Missing before the first report, and of a run without. */
  readonly checkpoints?: CheckpointProgress;
  /** Of a training: the environment of its install. Missing when that is neither restored nor stored. */
  readonly environment?: EnvironmentProgress;
}

/** Whether the environment of an install is in S3. */
export interface EnvironmentProgress {
  /** Hex. */
  readonly key: string;
  /** `new`: nobody has looked yet. `pending`: the instance sends it while it trains. */
  readonly state: 'new' | 'pending' | 'stored' | 'not-stored';
  /** Of the archive that was restored or stored, hex; null: of none yet. */
  readonly sha256: string | null;
  /** ETag of the manifest that is replaced, since it is old; null: there is none. */
  readonly replaces?: string | null;
  /** Why it is not stored. */
  readonly why?: string;
}

/** What is known of a training's checkpoints. */
export interface CheckpointProgress {
  /** The first run of those that continue one another. */
  readonly lineage: string;
  /** Up to this number, all are committed or given up. */
  readonly committed: number;
  readonly latest: CommittedCheckpoint | null;
  /** Those that are in the bucket. */
  readonly kept: readonly KeptCheckpoint[];
  readonly uploading: { readonly name: string; readonly bytes: number; readonly since: number } | null;
  readonly warnings: readonly string[];
  /** Epoch seconds since when the training has ended and its last checkpoints are sent. */
  readonly drainingSince: number | null;
  /** EC2's notice that it takes the Spot Instance back. */
  readonly notice?: SpotNotice;
}

export interface KeptCheckpoint {
  readonly seq: number;
  readonly series: string;
  /** Epoch seconds when it was saved. Left out, as `interval`, by a run that began with an older version. */
  readonly savedAt?: number;
  /** Seconds since the one of its series before; left out: it is the first. */
  readonly interval?: number;
}

export interface CommittedCheckpoint {
  readonly seq: number;
  readonly name: string;
  readonly format: string;
  readonly bytes: number;
  readonly marked: boolean;
  /** ISO 8601, UTC. */
  readonly committedAt: string;
}

/** Input of every state that sends requests to the instance. */
export interface JobInput extends VerifyOutput {
  readonly instance: Instance;
  readonly context: StepContext;
  /** ISO 8601: when Sync code was entered that got the instance for this attempt. Left out by a run that began with an older version. */
  readonly heldSince?: string | null;
  /** Of Start training: the install before it. Left out by a run that began with an older version. */
  readonly install?: JobSnapshot | null;
  /** The snapshot so far; null before the job's first. */
  readonly step: JobSnapshot | null;
}

/** Of Restore checkpoint. */
export interface RestoreOutput {
  /** With what the attempt goes on from. */
  readonly run: Run;
  /** null: there is no checkpoint, and the attempt begins anew. */
  readonly step: JobSnapshot | null;
}

export interface WatchInput extends JobInput {
  readonly step: JobSnapshot;
}

export interface Failure {
  readonly Error: string;
  readonly Cause: string;
  readonly state: string;
}

/** The progress of a run's clean-up. What it names is done and is not done again. */
export interface CleanUpProgress {
  /** `save`: of a run that was stopped, the last checkpoints. */
  readonly phase: 'save' | 'collect' | 'upload' | 'release' | 'drain' | 'join' | 'done';
  /** Epoch seconds when the phase began. */
  readonly since: number;
  /** The files that were packed on the instance; null before they are known. */
  readonly files: readonly CollectedFile[] | null;
  /** Of `files`: those in S3. */
  readonly uploaded: readonly string[];
  /** Of `files`: those whose upload has ended, well or not. A run that began with an older version has none. */
  readonly tried?: readonly string[];
  /** Files that were sent in parts, which are joined last. Left out: none. */
  readonly joins?: readonly PendingJoin[];
  /** The jobs that the run has on the instance. */
  readonly jobs: JobStates;
  /** What stops the instance later has been started. */
  readonly watched?: true;
  /** Epoch seconds from which on CloudWatch shows all that other functions sent of the run's log. Left out: it does already. */
  readonly logSettledAt?: number;
  /** Requests in this phase that got no answer. */
  readonly failures: number;
  readonly warnings: readonly string[];
}

export interface PendingJoin {
  readonly name: string;
  /** Of the object that lists the parts. */
  readonly listEtag: string;
  /** Of the upload that joins them; null: it has not begun. */
  readonly uploadId: string | null;
}

export interface FinishInput {
  readonly execution: { readonly name: string; readonly arn: string; readonly startedAt: string };
  /** The execution's input, for a run whose spec was refused. */
  readonly input: unknown;
  readonly context: StepContext;
  readonly run: Run | null;
  readonly spec: VerifyOutput['spec'] | null;
  readonly archive: VerifiedArchive | null;
  readonly instance: Instance | null;
  readonly warnings: readonly string[];
  readonly sync: JobSnapshot | null;
  readonly install: JobSnapshot | null;
  /** Left out, like `attempts`, by a run that began with an older version. */
  readonly restore?: JobSnapshot | null;
  readonly train: JobSnapshot | null;
  /** The attempts before the one that is under way. */
  readonly attempts?: readonly EndedAttempt[];
  readonly failure: Failure | null;
  /** How many nested watches have handed over. */
  readonly watches: number;
  /** Of this state's visit before; null on the first. */
  readonly finish: FinishOutput | null;
}

/** Of Plan attempt, which the first versions did not have. */
export interface PlanInput extends Required<Omit<FinishInput, 'input' | 'finish'>>, Pick<JobInput, 'heldSince'> {
  /** Of the visit before; null on the first. */
  readonly plan: AttemptPlan | null;
}

export interface AttemptPlan {
  /** `watch`: its instance answers again, and the training is watched further. `start`: the same, if it has begun at all. */
  readonly next: 'finish' | 'attempt' | 'start' | 'watch' | 'wait';
  /** Seconds. */
  readonly wait: number | null;
  /** Epoch seconds since when it waits for an instance. */
  readonly since: number | null;
  /** Of the whole run. */
  readonly visits: number;
  /** Start training was entered again in this attempt. */
  readonly startedAgain: boolean;
  /** The attempt that ended, while its instance is away. */
  readonly ended: EndedAttempt | null;
  /** Why there is no further attempt, where the outcome does not say it. */
  readonly why: string | null;
  readonly run: Run | null;
  readonly instance: Instance | null;
  readonly attempts: readonly EndedAttempt[];
}

/** The variables of the machine after Plan attempt. */
export interface PlanOutput extends Pick<PlanInput, JobName | 'warnings' | 'failure' | 'watches'> {
  readonly plan: AttemptPlan;
  readonly heldSince: string | null;
}

/** What is known of a run at its end. */
export type RunFacts = Pick<
  FinishInput,
  JobName | 'run' | 'spec' | 'archive' | 'instance' | 'warnings' | 'attempts' | 'failure'
>;

/** How the run ended, and what the machine makes of it. */
export interface RunOutcome extends RunEnding {
  readonly pid: number | null;
  /** Of the Fail state; null when the run succeeded. */
  readonly error: ErrorName | null;
  /** Of the Fail state: a RunEnding as JSON. */
  readonly cause: string | null;
}

/** Not over while `wait` (seconds) is a number: the machine waits and comes back with `progress`. */
export type FinishOutput =
  | (Pick<FinishInput, JobName> & { readonly wait: number; readonly progress: CleanUpProgress })
  | (RunOutcome & { readonly wait: null });
