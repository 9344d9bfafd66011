import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { JOBS, type JobName, jobOfAttempt } from '../../../core/names.ts';
import type { AnswerTo, JobState, JobStatus, SpotNotice } from '../../../core/protocol/answers.ts';
import type {
  CollectRequest,
  PollRequest,
  RunnerRequest,
  StartRequest,
  StopRequest,
  TrainRequest,
  UploadRequest,
} from '../../../core/protocol/messages.ts';
import { PROTOCOL } from '../../../core/protocol/messages.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import { blank, describe } from './answers.ts';
import { type Command, Lock } from './command.ts';
import { ModelFinisher, type PutUrl } from './finisher.ts';
import { beginAgain, findState, type JobPlan, type ModelJob, newJob, wasInterrupted } from './job.ts';
import { type KeeperPorts, ModelKeeper } from './keeper.ts';
import { ModelLease, type ModelRun } from './lease.ts';
import { ModelPower } from './power.ts';
import { Disk, type FetchUrl, type Restored, restorePlan } from './restore.ts';
import { ModelSupervisor, type SupervisorPorts } from './supervisor.ts';

const GONE_MS = 8_000;
const LAUNCH_MS = 15_000;
const MOST_WAIT = 20;
/** How often each job is started again. */
const MOST_RESTARTS: Readonly<Partial<Record<JobName, number>>> = { install: 1, restore: 3 };
/** The default maximum duration of a job. Seconds. */
const MOST = { sync: 7_200, install: 21_600, restore: 43_200, train: 86_400 } as const;

export interface RunnerPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly plan: (runId: string, job: JobName, attempt: number) => JobPlan;
  /** A process of a job begins. */
  readonly onStart: (run: ModelRun, job: ModelJob) => void;
  /** A training is about to be started. `restored`: what the attempt's job `restore` has brought, or null. */
  readonly onTraining?: (run: ModelRun, attempt: number, train: TrainRequest, restored: Restored | null) => void;
  readonly onRestored?: (run: ModelRun, attempt: number, restored: Restored) => void;
  readonly putUrl: PutUrl;
  readonly fetchUrl: FetchUrl;
  readonly finisherDies: () => boolean;
  readonly withOutputs: (runId: string) => boolean;
  /** Who is logged in. Left out: nobody. */
  readonly people?: () => readonly string[];
  readonly shutDown?: () => void;
  /** Left out: checkpoints are not sent. */
  readonly keeper?: Pick<KeeperPorts, 'post' | 'faults'>;
}

type About = Pick<StartRequest | PollRequest, 'run' | 'job' | 'attempt'>;

interface RunFolder {
  readonly run: ModelRun;
  /** By folder: `train`, `train-2`. */
  readonly jobs: Map<string, ModelJob>;
  readonly disk: Disk;
  closed: boolean;
  finisher: ModelFinisher | null;
}

/** An error that the runner answers. Nothing was changed. */
export class ModelRefusal extends Error {
  override readonly name: string;

  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

/** A pure model of instance/runner. It answers requests as instance/CONTRACT.md specifies, in the given clock's time. */
export class ModelRunner {
  readonly lease: ModelLease;
  readonly power: ModelPower;
  readonly runs = new Map<string, RunFolder>();
  bootId = 'boot-1';
  /** A request has come in this boot. */
  isReached = false;
  /** What the instance metadata service says. */
  notice: SpotNotice | null = null;
  private readonly lock = new Lock();
  private pid = 1_000;
  private readonly ports: RunnerPorts;

  constructor(ports: RunnerPorts) {
    this.ports = ports;
    this.lease = new ModelLease(
      () => this.now(),
      (key) => this.power.noteUse(key),
    );
    this.power = new ModelPower({
      now: () => this.now(),
      bootId: () => this.bootId,
      waiting: () => [...(this.lease.holder ? [this.lease.holder.id] : []), ...this.lease.valid().map(({ id }) => id)],
      living: () => this.living(),
      people: () => ports.people?.() ?? [],
      tickets: () => this.lease.valid().length,
      later: (ms, call) => ports.clock.timer(ms, call),
      shutDown: () => ports.shutDown?.(),
    });
  }

  /** The runner's answer as it prints it. */
  async answer(command: Command, request: RunnerRequest): Promise<string> {
    await command.spend(this.ports.random.between(30, 120));
    this.isReached = true;
    try {
      return JSON.stringify({ ...(await this.handle(command, request)), ok: true, protocol: PROTOCOL });
    } catch (error) {
      if (!(error instanceof ModelRefusal)) throw error;
      const { name, message } = error;
      return JSON.stringify({ ok: false, error: { name, message }, protocol: PROTOCOL });
    } finally {
      const { key } = request.run;
      const isLate = 'notAfter' in request && this.now() > request.notAfter;
      this.power.heard(!isLate && (this.lease.isHolder(key) || this.lease.tickets.has(key)));
    }
  }

  /** Shuts the machine down: all processes end. If `soft`, supervisors still write the end of their jobs. */
  powerOff(soft: boolean): void {
    for (const { jobs, finisher } of this.runs.values()) {
      finisher?.kill();
      for (const job of jobs.values()) this.cutOff(job, soft);
    }
    this.bootId = `boot-${Number(this.bootId.slice(5)) + 1}`;
    this.lease.bootedAt = this.now();
    this.power.boots();
    this.isReached = false;
  }

  /** Runs with a process. */
  living(): string[] {
    return [...this.runs.values()].flatMap(({ run, jobs, finisher }) => [
      ...(finisher?.isWorking ? [`files of ${run.id} are being sent`] : []),
      ...[...jobs.values()]
        .filter((job) => findState(job, this.bootId) === 'running')
        .map(({ name }) => `${run.id} ${name}`),
    ]);
  }

  allJobs(): { run: ModelRun; job: ModelJob }[] {
    return [...this.runs.values()].flatMap(({ run, jobs }) => [...jobs.values()].map((job) => ({ run, job })));
  }

  jobsOf(key: string): ModelJob[] {
    return [...(this.runs.get(key)?.jobs.values() ?? [])];
  }

  private cutOff(job: ModelJob, soft: boolean): void {
    const { supervisor, process } = job;
    const wasSupervised = supervisor?.alive && process?.alive;
    process?.finish({ code: null, signal: soft ? 'SIGTERM' : 'SIGKILL', outOfMemory: false });
    supervisor?.kill();
    job.keeper?.kill();
    job.input = null;
    if (!soft || !wasSupervised || job.exit) return;
    const end = { code: null, signal: 'SIGTERM', endedAt: this.now(), maxRssBytes: 1_000_000, outOfMemory: false };
    job.exit = { ...end, reason: job.stop ? 'stop' : null, result: null };
  }

  private now(): number {
    return this.ports.clock.now() / 1000;
  }

  private folder(run: ModelRun): RunFolder {
    const existing = this.runs.get(run.key);
    if (existing) return existing;
    const made: RunFolder = {
      run: { id: run.id, key: run.key, arn: run.arn },
      jobs: new Map(),
      disk: new Disk(),
      closed: false,
      finisher: null,
    };
    this.runs.set(run.key, made);
    return made;
  }

  private handle(command: Command, request: RunnerRequest): Promise<object> {
    switch (request.verb) {
      case 'start':
        return this.start(command, request);
      case 'poll':
        return Promise.resolve(this.poll(request));
      case 'stop':
        return this.stop(command, request);
      case 'collect':
        return this.collect(command, request);
      case 'upload':
        return this.upload(command, request);
      case 'idle':
        return command.locked(this.lock, async () => {
          await command.spend(3);
          return this.power.answer(request);
        });
      case 'release':
        return this.release(command, request.run);
      case 'fetch':
      case 'scrub':
        throw new Error('no function sends it');
    }
  }

  private jobOf({ run, job, attempt = 1 }: About): ModelJob | undefined {
    return this.runs.get(run.key)?.jobs.get(jobOfAttempt(job, attempt));
  }

  private stateOf(about: About): JobState {
    return findState(this.jobOf(about), this.bootId);
  }

  // start

  private async start(command: Command, request: StartRequest): Promise<JobStatus> {
    const { job } = request;
    if (request.shutdown) this.power.ensure(request.shutdown.after);
    const heldUp = await command.locked(this.lock, () => this.begin(command, request));
    if (heldUp) return heldUp;
    const deadline = this.now() + Math.min(job === 'train' ? 0 : request.wait, MOST_WAIT);
    while (this.now() < deadline && this.stateOf(request) === 'running') await command.spend(250);
    return this.status(request);
  }

  private async begin(command: Command, request: StartRequest): Promise<JobStatus | null> {
    const { job, run, attempt = 1 } = request;
    const refused = (reason: JobStatus['reason']) => ({ ...this.blank(job, 'refused'), reason });
    const again = this.jobToRestart(request);
    if (this.stateOf(request) !== 'absent' && !again) return null;
    if (this.runs.get(run.key)?.closed) return refused('closed');
    if (this.now() > request.notAfter) return refused('too-late');
    if (this.power.isMarked) return refused('stopping');
    const why = this.checkAttempts(run.key, attempt);
    if (why) return refused(why);
    const had = this.lease.isHolder(run.key);
    if (job === 'sync') {
      const clear = (key: string) => this.clear(command, key);
      const busy = await this.lease.take(run, request.ended, clear, request.queue?.ttl ?? null);
      if (busy) return { ...this.blank(job, 'busy'), ...busy };
    } else if (!had) {
      return refused('no-lease');
    }
    await command.spend(2);
    if (again) beginAgain(again);
    const { jobs, disk } = this.folder(run);
    const folder = jobOfAttempt(job, attempt);
    const existing = jobs.get(folder) ?? newJob(job, attempt, this.ports.plan(run.id, job, attempt));
    jobs.set(folder, existing);
    if ('restore' in request) {
      const drawn = this.ports.plan(run.id, job, attempt);
      const done = (restored: Restored) => {
        disk.restored.set(attempt, restored);
        this.ports.onRestored?.(run, attempt, restored);
      };
      existing.plan = restorePlan(drawn, request.restore, { ...this.ports, disk, done });
    }
    await command.spend(2);
    const train = 'train' in request ? request.train : null;
    if (train) this.ports.onTraining?.(run, attempt, train, disk.restored.get(attempt) ?? null);
    if (train?.checkpoints && this.ports.keeper) {
      existing.keeper ??= new ModelKeeper(
        existing,
        train.checkpoints,
        this.keeperPorts(run, existing, this.ports.keeper),
      );
    }
    const most = train?.maxDuration ?? ('install' in request ? request.install.maxDuration : undefined);
    existing.input = { maxDuration: most ?? MOST[job], grace: train?.stopGrace ?? 10 };
    await command.spend(2);
    ModelSupervisor.launch(existing, this.supervisorPorts(run));
    await this.untilBegun(command, existing, () => {
      existing.input = null;
      if (!had && this.stateOf(request) === 'absent') this.lease.drop(run.key);
    });
    return null;
  }

  /** As again.py: the job of the request, when it was interrupted or failed and may be started again. */
  private jobToRestart(request: StartRequest): ModelJob | null {
    const existing = this.jobOf(request);
    const most = MOST_RESTARTS[request.job] ?? 0;
    if (!request.again || existing === undefined || existing.restarts >= most) return null;
    const state = findState(existing, this.bootId);
    if (state !== 'vanished' && state !== 'exited') return null;
    const hasFailed = request.job === 'restore' && existing.exit?.result?.error?.name === 'RestoreFailed';
    return wasInterrupted(existing) || hasFailed ? existing : null;
  }

  /** As _check_attempts in start.py: one attempt of a run has jobs at a time. */
  private checkAttempts(key: string, attempt: number): 'too-late' | 'attempt-open' | null {
    for (const job of this.runs.get(key)?.jobs.values() ?? []) {
      if (job.attempt > attempt) return 'too-late';
      if (job.attempt === attempt) continue;
      job.input = null;
      if (findState(job, this.bootId) === 'running') return 'attempt-open';
      job.keeper?.end();
    }
    return null;
  }

  private async untilBegun(command: Command, job: ModelJob, withdraw: () => void): Promise<void> {
    const deadline = this.ports.clock.now() + LAUNCH_MS;
    while (job.identity === null && job.exit === null) {
      const failed = job.input === null && findState(job, this.bootId) === 'absent';
      if (failed || this.ports.clock.now() > deadline) {
        withdraw();
        throw new ModelRefusal('RunnerBroken', 'the supervisor failed');
      }
      await command.spend(20);
    }
  }

  private supervisorPorts(run: ModelRun): SupervisorPorts {
    const { clock, random, onStart } = this.ports;
    const nextPid = () => {
      this.pid += 1;
      return this.pid;
    };
    return { clock, random, nextPid, bootId: () => this.bootId, onStart: (job) => onStart(run, job) };
  }

  private keeperPorts(run: ModelRun, job: ModelJob, ports: NonNullable<RunnerPorts['keeper']>): KeeperPorts {
    const { clock, random } = this.ports;
    return {
      ...ports,
      clock,
      random,
      isOver: () => job.identity !== null && findState(job, this.bootId) !== 'running',
      notice: () => this.notice,
      onNotice: (notice) => job.supervisor?.interrupt(notice),
      isWanted: () => !this.runs.get(run.key)?.closed || this.lease.isHolder(run.key),
    };
  }

  // poll

  private poll(request: PollRequest): JobStatus {
    const keeper = this.jobOf(request)?.keeper;
    const isRunning = this.stateOf(request) === 'running';
    const report = keeper && request.checkpoints ? keeper.poll(request.checkpoints, isRunning) : null;
    const status = this.status(request, report);
    const { put } = request;
    const log = this.jobOf(request)?.log;
    const { offset, bytes, size } = status.log;
    if (put === undefined || !log || bytes >= Math.min(request.maxBytes, size - offset)) return status;
    const piece = log.subarray(offset, offset + request.maxBytes);
    const body = gzipSync(piece, { level: 1 });
    if (this.ports.putUrl(put, body) !== 200) return status;
    const sha256 = createHash('sha256').update(body).digest('hex');
    return { ...status, log: { ...status.log, bytes: piece.length, data: '', put: sha256 } };
  }

  private status(request: StartRequest | PollRequest, checkpoints: JobStatus['checkpoints'] = null): JobStatus {
    const existing = this.jobOf(request);
    const state = findState(existing, this.bootId);
    return existing
      ? describe(existing, state, request, { now: this.now(), bootId: this.bootId, checkpoints })
      : this.blank(request.job, state);
  }

  private blank(job: JobName, state: JobState): JobStatus {
    return blank(job, state, this.now(), this.bootId);
  }

  // stop, release

  private async stop(command: Command, { run, grace }: StopRequest): Promise<AnswerTo<'stop'>> {
    return command.locked(this.lock, async () => {
      this.close(run);
      const jobs = this.states(run.key);
      this.askLiving(run, grace);
      await command.spend(3);
      return { jobs };
    });
  }

  private async release(command: Command, run: ModelRun): Promise<AnswerTo<'release'>> {
    return command.locked(this.lock, async () => {
      this.close(run);
      await command.spend(2);
      const jobs = await this.kill(command, run);
      this.runs.get(run.key)?.finisher?.kill();
      const released = !Object.values(jobs).includes('running');
      if (released) this.lease.drop(run.key);
      return { released, jobs };
    });
  }

  private close(run: ModelRun): void {
    this.lease.leave(run.key);
    this.folder(run).closed = true;
  }

  /** Ends the jobs of a holder whose execution has ended. Called with the lock held. */
  private async clear(command: Command, key: string): Promise<boolean> {
    const folder = this.runs.get(key);
    if (!folder) return true;
    this.close(folder.run);
    return !Object.values(await this.kill(command, folder.run)).includes('running');
  }

  private async kill(command: Command, run: ModelRun): Promise<Partial<Record<JobName, JobState>>> {
    this.askLiving(run, 0);
    const deadline = this.ports.clock.now() + GONE_MS;
    for (;;) {
      const states = this.states(run.key);
      if (!Object.values(states).includes('running') || this.ports.clock.now() > deadline) return states;
      await command.spend(50);
    }
  }

  private askLiving(run: ModelRun, grace: number): void {
    for (const job of this.runs.get(run.key)?.jobs.values() ?? []) {
      if (findState(job, this.bootId) !== 'running') continue;
      const left = job.stop ? Math.max(0, job.stop.askedAt + job.stop.grace - this.now()) : grace;
      job.stop = { grace: Math.min(grace, left), askedAt: this.now() };
      if (job.identity === null) continue;
      if (job.supervisor?.alive) job.supervisor.wake();
      else ModelSupervisor.stopInstead(job, this.supervisorPorts(run));
    }
  }

  private states(key: string): Partial<Record<JobName, JobState>> {
    const jobs = [...(this.runs.get(key)?.jobs.values() ?? [])].sort((one, other) => one.attempt - other.attempt);
    const states: Partial<Record<JobName, JobState>> = {};
    // The latest attempt of each job.
    for (const name of JOBS) {
      const job = jobs.findLast((one) => one.name === name);
      if (job) states[name] = findState(job, this.bootId);
    }
    return states;
  }

  // collect, upload

  private async collect(command: Command, { run, grace, wait }: CollectRequest): Promise<AnswerTo<'collect'>> {
    await command.locked(this.lock, async () => {
      this.close(run);
      this.askLiving(run, grace);
    });
    const folder = this.folder(run);
    folder.finisher ??= this.newFinisher();
    const { finisher } = folder;
    let jobs: AnswerTo<'collect'>['jobs'] = {};
    const state = await this.until(command, wait, () => {
      jobs = this.states(run.key);
      if (Object.values(jobs).includes('running')) return 'ending';
      const done = finisher.advanceCollect([...folder.jobs.values()], this.ports.withOutputs(run.id));
      return done ? 'collected' : 'collecting';
    });
    const found = state === 'collected' ? finisher.collected : null;
    return { state, jobs, files: found?.files ?? null, warnings: found?.warnings ?? [] };
  }

  private newFinisher(): ModelFinisher {
    const { clock, random, putUrl, finisherDies } = this.ports;
    return new ModelFinisher({ clock, random, putUrl, dies: finisherDies });
  }

  private async upload(command: Command, { run, wait, puts }: UploadRequest): Promise<AnswerTo<'upload'>> {
    const finisher = this.runs.get(run.key)?.finisher;
    if (!finisher?.collected) return { state: 'absent', failed: {} };
    const state = await this.until(command, wait, () => (finisher.advanceUpload(puts) ? 'uploaded' : 'uploading'));
    return { state, failed: state === 'uploaded' ? (finisher.uploaded?.failed ?? {}) : {} };
  }

  /** Polls, each time with the lock held, until the work is done or the time is over. */
  private async until<S extends string>(command: Command, wait: number, poll: () => S): Promise<S> {
    const deadline = this.now() + Math.min(wait, MOST_WAIT);
    for (;;) {
      const state = await command.locked(this.lock, async () => poll());
      if (state === 'collected' || state === 'uploaded' || this.now() > deadline) return state;
      await command.spend(400);
    }
  }
}
