import type { SpotNotice } from '../../../core/protocol/answers.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import { type ModelJob, ModelProcess } from './job.ts';

const BEFORE_NOTICE_S = 10;
const MIN_GRACE_S = 5;

export interface SupervisorPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly bootId: () => string;
  readonly nextPid: () => number;
  /** Called at each start of a process of the job, to count double starts. */
  readonly onStart: (job: ModelJob) => void;
}

/** As supervisor.py: takes the input, starts the process, waits for it, writes its end. */
export class ModelSupervisor {
  alive = true;
  private reason: 'stop' | 'max-duration' | 'interrupted' | null = null;
  private byUs = false;
  private readonly job: ModelJob;
  private readonly ports: SupervisorPorts;
  private readonly grace: { most: number; grace: number };

  private constructor(job: ModelJob, ports: SupervisorPorts, grace: { most: number; grace: number }) {
    this.job = job;
    this.ports = ports;
    this.grace = grace;
  }

  /** Launches a supervisor. It starts after a moment, and its process a moment later. */
  static launch(job: ModelJob, ports: SupervisorPorts): void {
    const { clock, random } = ports;
    clock.timer(random.between(20, 150), () => {
      if (job.input === null || job.supervisor?.alive) return;
      const supervisor = new ModelSupervisor(job, ports, { most: job.input.maxDuration, grace: job.input.grace });
      job.input = null;
      job.claimed = true;
      job.supervisor = supervisor;
      clock.timer(random.between(5, 40), () => supervisor.begin());
    });
  }

  /** As orphan_stopper.py: ends a job whose supervisor has died. */
  static stopInstead(job: ModelJob, ports: SupervisorPorts): void {
    ports.clock.timer(ports.random.between(20, 150), () => {
      const lives = job.process?.alive && job.identity?.bootId === ports.bootId();
      if (!lives || job.supervisor?.alive || job.exit) return;
      const stopper = new ModelSupervisor(job, ports, { most: Number.POSITIVE_INFINITY, grace: 0 });
      job.supervisor = stopper;
      stopper.watch(() => {
        job.exit = {
          code: null,
          signal: null,
          endedAt: ports.clock.now() / 1000,
          maxRssBytes: null,
          outOfMemory: false,
          reason: 'stop',
          result: null,
        };
      });
      stopper.wake();
    });
  }

  /** kill -9: the job's process continues. */
  kill(): void {
    this.alive = false;
    this.job.claimed = false;
  }

  /** Makes it check stop.json. */
  wake(): void {
    if (!this.alive || !this.job.process) return;
    if (this.job.stop) this.endJob('stop', this.job.stop.grace);
  }

  /** As _check_notice in wait.py. */
  interrupt({ time }: SpotNotice): void {
    const left = time - this.ports.clock.now() / 1_000 - BEFORE_NOTICE_S;
    if (this.alive && this.job.process)
      this.endJob('interrupted', Math.max(Math.min(this.grace.grace, left), MIN_GRACE_S));
  }

  /** SIGTERM from systemd when the machine shuts down. */
  goDown(): void {
    if (this.alive && this.job.process) this.endJob(null, this.grace.grace);
  }

  private begin(): void {
    const { job, ports } = this;
    if (!this.alive) return;
    const { clock } = ports;
    job.identity = { pid: ports.nextPid(), bootId: ports.bootId(), startedAt: clock.now() / 1000 };
    job.claimed = false;
    job.starts += 1;
    ports.onStart(job);
    job.process = new ModelProcess(clock, job.plan, (text) => {
      job.log = Buffer.concat([job.log, Buffer.from(text)]);
    });
    if (Number.isFinite(this.grace.most)) {
      clock.timer(
        this.grace.most * 1000,
        () => this.alive && job.process?.alive && this.endJob('max-duration', this.grace.grace),
      );
    }
    this.watch(() => {
      const { code, signal, outOfMemory } = job.process?.end ?? { code: null, signal: null, outOfMemory: false };
      job.exit = {
        code,
        signal,
        endedAt: clock.now() / 1000,
        maxRssBytes: 1_000_000,
        outOfMemory: outOfMemory && !this.byUs,
        reason: this.reason,
        result: this.byUs || code === null ? null : (job.process?.result ?? null),
      };
    });
    if (job.stop) this.wake();
  }

  /** Waits until the process has ended, then writes its end. */
  private watch(write: () => void): void {
    const { clock, random } = this.ports;
    this.job.process?.whenEnded(() => {
      clock.timer(random.between(5, 60), () => {
        if (!this.alive) return;
        write();
        this.alive = false;
      });
    });
  }

  /** Sends TERM now and KILL after `grace` seconds. A second call can only shorten the grace. */
  private endJob(reason: 'stop' | 'max-duration' | 'interrupted' | null, grace: number): void {
    const { process } = this.job;
    // It ended by itself at the same time: that end is written.
    if (!process?.alive) return;
    this.ports.clock.timer(grace * 1000, () => this.alive && process.kill());
    if (this.byUs) return;
    this.byUs = true;
    this.reason = reason;
    process.term();
  }
}
