import type { JobName } from '../../../core/names.ts';
import type { SpotNotice } from '../../../core/protocol/answers.ts';
import type { RunnerRequest } from '../../../core/protocol/messages.ts';
import type { Clock } from '../clock.ts';
import { Command } from '../model/command.ts';
import type { JobPlan, ModelJob } from '../model/job.ts';
import type { ModelRun } from '../model/lease.ts';
import { ModelRunner } from '../model/runner.ts';
import type { Random } from '../random.ts';
import type { AttemptWatch } from './attempts.ts';
import type { Bucket } from './bucket.ts';
import type { InstanceTruth, JobTruth, Running, SoakInstance, Victim } from './instance.ts';
import type { Ec2Power } from './power.ts';
import type { Weather } from './weather.ts';

export interface ModelInstancePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly weather: () => Weather;
  readonly bucket: Bucket;
  readonly plan: (runId: string, job: JobName, attempt: number) => JobPlan;
  readonly hasOutputs: (runId: string) => boolean;
  readonly onStart: (runId: string, job: JobName) => void;
  readonly attempts?: AttemptWatch;
  /** Of a managed instance. */
  readonly power?: () => Ec2Power | null;
}

/** The instance of level (a): the model of the runner. */
export class ModelInstance implements SoakInstance {
  private readonly runner: ModelRunner;
  private readonly overlaps: string[] = [];
  private readonly doubledAttempts: string[] = [];
  private readonly ports: ModelInstancePorts;

  constructor(ports: ModelInstancePorts) {
    this.ports = ports;
    const { clock, random, weather, bucket, plan, hasOutputs, attempts } = ports;
    this.runner = new ModelRunner({
      clock,
      random,
      plan,
      onStart: (run, job) => this.began(run, job),
      putUrl: (url, body) => (random.chance(weather().put) ? 500 : bucket.request('PUT', url, body).status),
      fetchUrl: (url) => (random.chance(weather().put / 3) ? null : bucket.request('GET', url, null).body),
      onRestored: (run, attempt, restored) => attempts?.restored(run.id, attempt, restored),
      onTraining: (run, attempt, train, restored) => attempts?.training(run.id, attempt, train, restored),
      finisherDies: () => random.chance(weather().finisher),
      withOutputs: hasOutputs,
      people: () => ports.power?.()?.people() ?? [],
      shutDown: () => ports.power?.()?.fromInside(),
      keeper: {
        post: (grant, key, body) => !random.chance(weather().put) && bucket.post(grant, key, body),
        faults: () => weather().keeper,
      },
    });
  }

  execute(request: RunnerRequest): Running {
    const command = new Command(this.ports.clock);
    return { output: this.runner.answer(command, request), kill: () => command.kill() };
  }

  strike(runId: string, name: JobName, victim: Victim): void {
    const jobs = this.runner.allJobs().filter(({ run, job }) => run.id === runId && job.name === name);
    const { job } = jobs.sort((one, other) => other.job.attempt - one.job.attempt)[0] ?? {};
    if (!job) return;
    if (victim === 'supervisor' || victim === 'both') job.supervisor?.kill();
    if (victim !== 'supervisor')
      job.process?.finish({ code: null, signal: 'SIGKILL', outOfMemory: victim === 'memory' });
  }

  announce(notice: SpotNotice | null): void {
    this.runner.notice = notice;
  }

  powerOff(soft: boolean): void {
    this.runner.powerOff(soft);
  }

  truth(): InstanceTruth {
    const jobs = new Map<string, JobTruth[]>();
    for (const { run, job } of this.runner.allJobs()) jobs.set(run.id, [...(jobs.get(run.id) ?? []), truthOf(job)]);
    const tickets = this.runner.lease.valid().map(({ id }) => id);
    const living = this.runner
      .allJobs()
      .filter(({ job: { process, supervisor } }) => process?.alive || supervisor?.alive)
      .map(({ run, job }) => `${run.id} ${job.name}`);
    const { overlaps, doubledAttempts } = this;
    const { isReached } = this.runner;
    return {
      holder: this.runner.lease.holder?.id ?? null,
      tickets,
      jobs,
      overlaps,
      doubledAttempts,
      living,
      isReached,
    };
  }

  remove(): Promise<void> {
    return Promise.resolve();
  }

  private began(run: ModelRun, job: ModelJob): void {
    const others = this.runner.allJobs().filter((one) => one.run.id !== run.id && one.job.process?.alive);
    for (const other of others)
      this.overlaps.push(`${run.id} ${job.name} began while ${other.run.id} ${other.job.name} lived`);
    for (const { attempt, name, process } of this.runner.jobsOf(run.key)) {
      if (attempt !== job.attempt && process?.alive)
        this.doubledAttempts.push(
          `${run.id} ${job.name} of attempt ${job.attempt} began while ${name} of ${attempt} lived`,
        );
    }
    this.ports.onStart(run.id, job.name);
  }
}

/** A start that the machine asked for, of a job that was interrupted, is not one too many. */
function truthOf({ name, attempt, starts, restarts, process, exit, log }: ModelJob): JobTruth {
  return { job: name, attempt, starts: starts - restarts, exit, end: process?.end ?? null, log };
}
