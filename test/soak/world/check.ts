import { gunzipSync } from 'node:zlib';
import { ERRORS } from '../../../core/errors.ts';
import { type JobName, jobOfAttempt, logFileName, logStream, MANIFEST, runFileKey } from '../../../core/names.ts';
import type { Manifest } from '../../../core/outcome/manifest-schema.ts';
import { parseSize } from '../../../core/units.ts';
import type { EndedAttempt, Run } from '../../../core/workflow/data.ts';
import type { Execution } from '../asl/execution.ts';
import type { AttemptFindings } from './attempts.ts';
import type { CheckpointFindings } from './checkpoints.ts';
import type { InstanceTruth, JobTruth } from './instance.ts';
import { PRICE, type RunPlan } from './schedule.ts';
import type { World } from './world.ts';

/** The counts; each must be 0. */
export interface Findings extends CheckpointFindings, AttemptFindings {
  readonly doubledAttempts: string[];
  readonly longHistories: string[];
  readonly doubleStarts: string[];
  readonly lostLog: string[];
  readonly falseOutcomes: string[];
  readonly leftLeases: string[];
  /** A managed instance that ran for more than 15 minutes after its work and `stopAfter`. */
  readonly leftRunning: string[];
  readonly stoppedAtWork: string[];
  readonly other: string[];
}

export const KINDS: Readonly<Record<keyof Findings, string>> = {
  doubleStarts: 'double starts',
  lostLog: 'lost or doubled log',
  falseOutcomes: 'false outcomes',
  leftLeases: 'leases left behind',
  incompleteRestores: 'incomplete restores',
  lostCheckpoints: 'lost committed checkpoints',
  latestBackwards: 'latest goes backwards',
  doubledAttempts: 'doubled attempts',
  falseRestores: 'false restores',
  lostProgress: 'lost progress',
  numbersTwice: 'numbers used twice',
  tooManyAttempts: 'attempts too many',
  longHistories: 'histories too long',
  leftRunning: 'left running',
  stoppedAtWork: 'stopped at work',
  other: 'other',
};

/** AWS fails an execution whose history has more events. */
const MOST_EVENTS = 25_000;
/** A run gives up an instance that is silent for this time (lambdas/poll-logs.ts). */
const SILENCE_MS = 1_800_000;
/** Seconds of maxCost that a training does not get: stopGrace, and what is lost by rounding. */
const ENDING_S = 32;

export function nothingFound(): Findings {
  return {
    doubleStarts: [],
    lostLog: [],
    falseOutcomes: [],
    leftLeases: [],
    incompleteRestores: [],
    lostCheckpoints: [],
    latestBackwards: [],
    doubledAttempts: [],
    falseRestores: [],
    lostProgress: [],
    numbersTwice: [],
    tooManyAttempts: [],
    longHistories: [],
    leftRunning: [],
    stoppedAtWork: [],
    other: [],
  };
}

/** Compares what a schedule left behind with what really happened. */
export async function checkWorld(world: World): Promise<Findings> {
  const truth = await world.instance.truth();
  const findings = nothingFound();
  findings.doubleStarts.push(...truth.overlaps);
  findings.doubledAttempts.push(...truth.doubledAttempts);
  for (const [run, jobs] of truth.jobs) {
    for (const { job, attempt, starts } of jobs)
      if (starts > 1) findings.doubleStarts.push(`${run} ${jobOfAttempt(job, attempt)}: ${starts} starts`);
  }
  if (world.ssm.state === 'running') findings.leftLeases.push(...leftBehind(truth));
  for (const plan of world.schedule.runs) {
    const execution = world.runs.get(plan.id);
    if (!execution || execution.running) {
      findings.other.push(`${plan.id} never came to its end${execution ? `: ${execution.at}` : ''}`);
      continue;
    }
    const check = new RunCheck(world, plan, execution, truth.jobs.get(plan.id) ?? []);
    findings.falseOutcomes.push(...check.outcomeProblems());
    findings.lostLog.push(...check.logProblems());
    findings.doubledAttempts.push(...check.attemptProblems());
    if (execution.events > MOST_EVENTS) findings.longHistories.push(`${plan.id}: ${execution.events} events`);
  }
  for (const [kind, found] of Object.entries({
    ...world.checkpoints.check(),
    ...world.attempts.findings,
    ...world.power?.findings,
  }))
    findings[kind as keyof Findings].push(...found);
  findings.other.push(...world.functions.faults, ...world.logs.refusals, ...world.ssm.refusals);
  return findings;
}

export function problems(findings: Findings): string[] {
  return Object.entries(KINDS).flatMap(([kind, name]) =>
    findings[kind as keyof Findings].map((text) => `${name}: ${text}`),
  );
}

function leftBehind({ holder, tickets, living }: InstanceTruth): string[] {
  const held = holder === null ? [] : [`${holder} holds the instance`];
  return [...held, ...tickets.map((run) => `${run} waits`), ...living.map((what) => `${what} lives`)];
}

function manifestOf(world: World, runId: string): Manifest | null {
  const object = world.bucket.objects.get(runFileKey(runId, MANIFEST));
  return object ? (JSON.parse(object.toString('utf8')) as Manifest) : null;
}

/** The reported outcome: from the cause if the execution ended by itself, else from the manifest; null: none. */
export function outcomeOf(world: World, runId: string): string | null {
  const { status, error, cause } = world.runs.get(runId) ?? { status: 'RUNNING', error: null, cause: null };
  if (status === 'SUCCEEDED') return 'succeeded';
  if (status !== 'FAILED') return manifestOf(world, runId)?.outcome ?? null;
  const ending = JSON.parse(cause || 'null') as { outcome?: string } | null;
  return error !== null && error in ERRORS ? (ending?.outcome ?? null) : null;
}

/** One run: what was reported, and what really happened. */
class RunCheck {
  private readonly world: World;
  private readonly plan: RunPlan;
  private readonly execution: Execution;
  /** Of all attempts. */
  private readonly all: readonly JobTruth[];
  /** The last attempt. */
  private readonly attempt: number;
  /** Of the last attempt. */
  private readonly jobs: ReadonlyMap<JobName, JobTruth>;
  private readonly manifest: Manifest | null;

  constructor(world: World, plan: RunPlan, execution: Execution, all: readonly JobTruth[]) {
    this.world = world;
    this.plan = plan;
    this.execution = execution;
    this.all = all;
    this.attempt = (execution.variable('run') as Run | null | undefined)?.attempt ?? 1;
    this.jobs = new Map(all.filter(({ attempt }) => attempt === this.attempt).map((one) => [one.job, one]));
    this.manifest = manifestOf(world, plan.id);
  }

  outcomeProblems(): string[] {
    const { execution, manifest, plan } = this;
    const { status } = execution;
    const outcome = outcomeOf(this.world, plan.id);
    const wrong: string[] = [];
    if ((status === 'SUCCEEDED') !== (outcome === 'succeeded') && status !== 'ABORTED')
      wrong.push(`the execution is ${status}, and the outcome ${outcome}`);
    if (manifest && status !== 'ABORTED' && outcome !== manifest.outcome && outcome !== 'internal')
      wrong.push(`the manifest says ${manifest.outcome}, the execution ${outcome}`);
    const why = outcome === null ? this.missing() : this.contradiction(outcome);
    if (why) wrong.push(why);
    return wrong.map((text) => `${plan.id}: ${text}`);
  }

  private missing(): string | null {
    const { world } = this;
    // Its event may have been lost while no other run waited for it, or stop-run was given up.
    const excused = world.schedule.weather.event.lost > 0 || world.functions.deadLetters.length > 0;
    return excused ? null : 'it was aborted, and has no manifest';
  }

  /** Why the reported outcome is false, or null. */
  private contradiction(outcome: string): string | null {
    const train = this.jobs.get('train');
    const { exit, end } = train ?? { exit: null, end: null };
    const byItself = exit !== null && exit.reason === null;
    const says = `${outcome}, and the training's end is ${JSON.stringify({ exit, end, starts: train?.starts ?? 0 })}`;
    const unless = (isTrue: boolean) => (isTrue ? null : says);
    switch (outcome) {
      case 'succeeded':
        return unless(byItself && exit.code === 0 && end?.code === 0);
      case 'failed':
        return unless(byItself && exit.code !== 0 && exit.code !== null && this.reportedExitCode() === exit.code);
      case 'killed':
        return unless(byItself && exit.signal !== null && !exit.outOfMemory && end?.signal === exit.signal);
      case 'out-of-memory':
        return unless(byItself && exit.outOfMemory);
      case 'vanished':
        return unless(train !== undefined && (exit === null || exit.reason === 'stop') && this.isExcused());
      case 'interrupted':
        return unless(exit?.reason === 'interrupted' || (this.wasAnnounced() && !this.knowsEnd(exit)));
      case 'timed-out':
        return unless(train !== undefined && this.endedForTime());
      case 'capped':
        return unless(this.hasSpent(this.plan.spec.maxCost) && this.endedForTime());
      case 'stopped':
        return unless(this.execution.status === 'ABORTED' && this.world.aborted.has(this.plan.id));
      case 'busy':
        return unless(
          train === undefined && (this.plan.spec.ifBusy === 'refuse' || this.plan.spec.maxWait !== undefined),
        );
      case 'skipped':
        return unless(train === undefined && this.plan.spec.ifBusy === 'skip');
      case 'sync-failed':
        return unless(train === undefined && (!endedWell(this.jobs.get('sync')) || this.hasFailed('restore')));
      case 'install-failed':
        return unless(
          train === undefined && !endedWell(this.jobs.get('install')) && this.plan.spec.install === 'required',
        );
      case 'instance-lost':
        return unless(this.wasOut(0, this.world.stops) || this.wasOut(SILENCE_MS));
      case 'instance-unavailable':
        return unless(this.wasOut(0) || this.gaveUp());
      case 'rejected':
        return unless(train === undefined && this.world.attempts.mayFindNothing(this.plan.id));
      case 'internal':
        return unless(this.gaveUp() && !this.execution.cause?.includes('(attempt-open)'));
      default:
        return says;
    }
  }

  private hasFailed(job: JobName): boolean {
    return this.jobs.has(job) && !endedWell(this.jobs.get(job));
  }

  /** The exit code that was reported. */
  private reportedExitCode(): number | null {
    const { status, cause } = this.execution;
    if (status !== 'FAILED') return this.manifest?.exitCode ?? null;
    return (JSON.parse(cause || 'null') as { exitCode: number | null } | null)?.exitCode ?? null;
  }

  /** By its supervisor; by the run, without it; or before it began, because the sync and the install took all of the time. */
  private endedForTime(): boolean {
    const train = this.jobs.get('train');
    if (train === undefined) return true;
    const { exit } = train;
    // Without its supervisor it may have ended by itself, after its time and before the run ended it: then nothing tells how.
    const isUnsupervised = exit === null || exit.reason === 'stop';
    return exit?.reason === 'max-duration' || (isUnsupervised && this.isExcused());
  }

  /** Whether a training that ended by itself did so before its instance was taken, as far as a run can know. */
  private knowsEnd(exit: JobTruth['exit']): boolean {
    const byItself = exit !== null && exit.reason === null;
    // The shutdown of the announced stop may end the training first; an instance that was taken tells nothing.
    return byItself && exit.signal !== 'SIGTERM' && !this.wasOut(0, this.world.stops);
  }

  /** Whether the instance cost as much as maxCost allows, without the queue, and but for the time in which a training is ended. */
  private hasSpent(maxCost = Number.POSITIVE_INFINITY): boolean {
    const usd = this.manifest?.cost.instance?.usd ?? 0;
    const left = ((maxCost - usd) / PRICE.usdPerHour) * 3_600;
    return left <= ENDING_S;
  }

  /** The schedule killed it. */
  private isExcused(): boolean {
    const { incidents } = this.world.schedule;
    return incidents.some(({ deed }) => {
      if (deed.kind === 'strike') return deed.run === this.plan.id && deed.job === 'train';
      return deed.kind === 'reboot' || deed.kind === 'stop-instance' || deed.kind === 'notice';
    });
  }

  /** Whether the instance was silent for this time, ms, during the run. */
  private wasOut(ms: number, outages = this.world.outages): boolean {
    const began = Date.parse(this.execution.startedAt);
    const ended = this.endedAt();
    return outages.some(({ from, to }) => Math.min(to, ended) - Math.max(from, began) > ms);
  }

  /** EC2 announced that it takes the instance during the run. */
  private wasAnnounced(): boolean {
    const began = Date.parse(this.execution.startedAt);
    return this.world.notices.some(({ at, from }) => from >= began && at <= this.endedAt());
  }

  private endedAt(): number {
    return this.execution.endedAt ?? this.world.clock.now();
  }

  /** A state's retries were used up, so that the run could not know the real outcome. */
  private gaveUp(): boolean {
    return this.executions().some(({ givenUp }) => givenUp.length > 0);
  }

  private executions(): Execution[] {
    const { about } = this.execution;
    return [...this.world.machines.all.values()].filter(
      (one) => one === this.execution || one.about.parent?.about.arn === about.arn,
    );
  }

  logProblems(): string[] {
    return this.all.flatMap((one) => {
      const wrong = [this.streamProblem(one), this.copyProblem(one)];
      const name = `${this.plan.id} ${jobOfAttempt(one.job, one.attempt)}`;
      return wrong.filter((text) => text !== null).map((text) => `${name}: ${text}`);
    });
  }

  /** Attempts that did again what a training before them had done, or was doing. */
  attemptProblems(): string[] {
    const ended = (this.execution.variable('attempts') as EndedAttempt[] | undefined) ?? [];
    this.world.attempts.check(this.plan.id, this.attempt, ended);
    const trained = this.all.filter(({ job, attempt }) => job === 'train' && attempt < this.attempt);
    return trained.flatMap(({ attempt, exit, end }) => {
      const known = ended.find((one) => one.attempt === attempt)?.exitCode ?? null;
      const code = exit?.reason === null && end?.code === exit.code ? exit.code : null;
      if (code === null || (code !== 0 && code === known)) return [];
      const what = `attempt ${attempt} ended with exit code ${code}`;
      return [`${this.plan.id}: ${what}, and another one followed that knew ${known}`];
    });
  }

  private streamProblem({ job, attempt, log }: JobTruth): string | null {
    const text = this.world.logs.text(logStream(this.plan.id, job, attempt));
    const expected = log.toString('utf8');
    const most = parseSize(this.plan.spec.maxLogBytes ?? '1GiB');
    if (log.length > most && text.includes(MARK)) return cutProblem(text, log, most);
    if (text === expected && log.length <= most) return null;
    const isBeginning = expected.startsWith(text) && text.length <= most;
    if (isBeginning && this.mayEndEarly()) return null;
    return difference(text, expected);
  }

  /** The run's end warns of missing log, or the run could not be finished. */
  private mayEndEarly(): boolean {
    if (this.manifest === null) return this.execution.status === 'ABORTED' || this.gaveUp();
    const warned = this.manifest.warnings.some((text) =>
      /last log lines may be missing|not collected|not released|not uploaded/.test(text),
    );
    return warned || this.wasOut(0) || this.gaveUp();
  }

  private copyProblem({ job, attempt, log }: JobTruth): string | null {
    const packed = this.world.bucket.objects.get(runFileKey(this.plan.id, logFileName(job, attempt)));
    if (!packed) {
      const promised = this.manifest?.logs.some((one) => one.job === job && (one.attempt ?? 1) === attempt);
      return promised ? 'the manifest speaks of a copy that is not in S3' : null;
    }
    return gunzipSync(packed).equals(log) ? null : 'the copy in S3 is not the log';
  }
}

function endedWell(job: JobTruth | undefined): boolean {
  return job?.exit?.code === 0 && job.exit.reason === null;
}

const MARK = '[runctl] This job has written maxLogBytes of log.';

/** A character that the limit splits is shown as escaped bytes of four characters each. */
const LAST_CHARACTER = 12;

function cutProblem(text: string, log: Buffer, most: number): string | null {
  const parts = text.split(`\n${MARK}`);
  if (parts.length !== 2) return `maxLogBytes is reported ${parts.length - 1} times`;
  const [before = ''] = parts;
  const expected = log.subarray(0, most).toString('utf8');
  const isBeginning = expected.startsWith(before.slice(0, -LAST_CHARACTER));
  const isWhole = Math.abs(before.length - expected.length) <= LAST_CHARACTER;
  return isBeginning && isWhole ? null : difference(before, expected);
}

function difference(text: string, expected: string): string {
  let at = 0;
  while (at < text.length && text[at] === expected[at]) at += 1;
  const show = (one: string) => JSON.stringify(one.slice(at, at + 60));
  return `CloudWatch has ${text.length} characters of ${expected.length}; at ${at} ${show(text)} instead of ${show(expected)}`;
}
