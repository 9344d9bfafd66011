import { awsError } from '../../support/fakes/sdk-client.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { InstanceTruth, SoakInstance } from './instance.ts';
import type { Ssm } from './ssm.ts';

const MINUTE_MS = 60_000;
/** A managed instance may run so long after its work, beyond `stopAfter`. */
const LATEST_MS = 15 * MINUTE_MS;
const SAMPLE_MS = 15_000;
/** A boot, and an agent that comes online after it. */
const BOOT_MS = 15 * MINUTE_MS;

interface Interval {
  readonly from: number;
  readonly to: number;
}

/** What happens to a managed instance in a schedule. Times in ms from its beginning. */
export interface PowerPlan {
  readonly stopAfterMs: number;
  /** It is stopped when the schedule begins. */
  readonly isStopped: boolean;
  /** A person is logged in. */
  readonly people: readonly Interval[];
  /** EC2 has no capacity. */
  readonly full: readonly Interval[];
  /** All functions of the stack fail. */
  readonly gone: readonly Interval[];
  /** A person stops the instance, whatever it does. */
  readonly stops: readonly number[];
}

/** @param random a stream of its own: schedules without power are drawn as before */
export function drawPower(random: Random, longest: number): PowerPlan {
  const interval = (most: number): Interval => {
    const from = random.between(0, 2 * longest);
    return { from, to: from + random.spread(10_000, most) };
  };
  const some = (probability: number, most: number) => (random.chance(probability) ? [interval(most)] : []);
  return {
    stopAfterMs: random.pick([0, 1, 5, 10, 30] as const) * MINUTE_MS,
    isStopped: random.chance(0.5),
    people: some(0.3, 4 * longest),
    full: some(0.3, 4 * longest),
    gone: some(0.2, 8 * longest),
    stops: random.chance(0.2) ? [random.between(0, 2 * longest)] : [],
  };
}

export interface PowerPorts {
  readonly plan: PowerPlan;
  readonly clock: Clock;
  readonly random: Random;
  readonly ssm: Ssm;
  readonly instance: SoakInstance;
  readonly truth: () => InstanceTruth;
  /** Ids of runs whose executions last. */
  readonly running: () => ReadonlySet<string>;
  /** All faults have ended. */
  readonly isCalm: () => boolean;
  /** A function works that is no state. */
  readonly isCleaningUp: () => boolean;
  /** The instance was not there. */
  readonly out: (from: number, to: number, isStop: boolean) => void;
}

/** EC2's part for a managed instance: it starts, stops, and lacks capacity. Counts what must never happen. */
export class Ec2Power {
  readonly findings = { leftRunning: [] as string[], stoppedAtWork: [] as string[] };
  /** Starts and stops that EC2 has accepted. */
  starts = 0;
  stops = 0;
  reason: string | null = null;
  private readonly began: number;
  /** It was started for a run, or a run had it, in this boot: nobody stops one that people started and no run has used. */
  private hasWorked = false;
  private idleSince: number | null = null;
  private isReported = false;
  private readonly ports: PowerPorts;

  constructor(ports: PowerPorts) {
    this.ports = ports;
    const { clock, plan, ssm } = ports;
    this.began = clock.now();
    if (plan.isStopped) {
      ssm.powerOff(null);
      ssm.state = 'stopped';
    }
    for (const { from, to } of plan.full) ports.out(this.began + from, this.began + to, false);
    for (const { from, to } of plan.gone) ports.out(this.began + from, this.began + to, false);
    for (const at of plan.stops)
      clock.timer(at, () => {
        if (!ports.isCalm()) this.shutDown(true);
      });
    this.sample();
  }

  people(): string[] {
    return this.isWithin(this.ports.plan.people) ? ['ann is logged in (pts/0)'] : [];
  }

  get isGone(): boolean {
    return this.isWithin(this.ports.plan.gone);
  }

  /** An answer of EC2; null: to another command. */
  answer(command: string): object | null {
    switch (command) {
      case 'StartInstances':
        return this.start();
      case 'StopInstances':
        this.judge('a function');
        this.shutDown(false);
        return {};
      case 'DescribeInstanceAttribute':
        return { InstanceInitiatedShutdownBehavior: { Value: 'stop' } };
      default:
        return null;
    }
  }

  /** The instance shuts itself down. */
  fromInside(): void {
    this.judge('the instance itself');
    this.shutDown(false);
  }

  private start(): object {
    const { ssm, clock, random } = this.ports;
    if (ssm.state === 'stopping') throw awsError('IncorrectInstanceState');
    if (ssm.state !== 'stopped') return {};
    if (this.isWithin(this.ports.plan.full)) throw awsError('InsufficientInstanceCapacity');
    this.starts += 1;
    this.hasWorked = true;
    ssm.state = 'pending';
    ssm.launchedAt = clock.now();
    const isFull = random.chance(0.05);
    clock.timer(random.between(5_000, 60_000), () => {
      if (ssm.state !== 'pending') return;
      this.reason = isFull ? 'Server.InsufficientInstanceCapacity' : null;
      if (isFull) {
        ssm.state = 'stopped';
        return;
      }
      ssm.state = 'running';
      ssm.launchedAt = clock.now();
      ssm.online = false;
      ssm.powerOn();
      clock.timer(random.between(1_000, 60_000), () => ssm.goOnline());
    });
    return {};
  }

  private shutDown(isPerson: boolean): void {
    const { ssm, clock, random, instance, out } = this.ports;
    if (ssm.state !== 'running') return;
    this.stops += 1;
    ssm.state = 'stopping';
    ssm.powerOff(null);
    instance.powerOff(true);
    const took = random.between(5_000, 90_000);
    out(clock.now(), clock.now() + took, isPerson);
    clock.timer(took, () => {
      ssm.state = 'stopped';
      this.reason = 'Client.UserInitiatedShutdown';
    });
  }

  /** Whether a stop that is not a person's comes while the instance is used. */
  private judge(who: string): void {
    const { ssm, clock } = this.ports;
    if (ssm.state !== 'running') return;
    const { living, holder, tickets } = this.ports.truth();
    const running = this.ports.running();
    // One that has lost its functions has no process and is not heard of.
    const isHeld = holder !== null && running.has(holder) && who === 'a function';
    const used = [
      ...living.map((what) => `${what} lived`),
      ...(isHeld ? [`${holder} had it`] : []),
      ...tickets.filter((run) => running.has(run)).map((run) => `${run} waited`),
      ...this.people(),
    ];
    for (const what of used)
      this.findings.stoppedAtWork.push(`${who} stopped it at ${this.time(clock.now())}: ${what}`);
  }

  private sample(): void {
    const { clock, ssm, plan } = this.ports;
    clock.timer(SAMPLE_MS, () => this.sample());
    const now = clock.now();
    const isOn = ssm.state === 'running' || ssm.state === 'pending';
    const isBooting = now - ssm.launchedAt < BOOT_MS;
    if (!isOn) this.hasWorked = false;
    if (ssm.up && this.ports.truth().holder !== null) this.hasWorked = true;
    if (!this.hasWorked || isBooting || this.isUsed()) {
      this.idleSince = null;
      this.isReported = false;
      return;
    }
    this.idleSince ??= now;
    if (this.isReported || now - this.idleSince <= plan.stopAfterMs + LATEST_MS) return;
    this.isReported = true;
    this.findings.leftRunning.push(`since ${this.time(this.idleSince)}, stopAfter ${plan.stopAfterMs / MINUTE_MS} min`);
  }

  private isUsed(): boolean {
    const { ssm } = this.ports;
    if (!ssm.online || !ssm.up || this.people().length > 0) return true;
    const { living, holder, isReached } = this.ports.truth();
    // A reboot ends the dead man's switch, until the next request.
    if (living.length > 0 || (this.isGone && !isReached)) return true;
    // Not while no function works: then a run is not heard of, and stop-run does not clean up after it.
    return !this.isGone && (this.ports.running().size > 0 || (holder !== null && this.ports.isCleaningUp()));
  }

  private isWithin(intervals: readonly Interval[]): boolean {
    const at = this.ports.clock.now() - this.began;
    return intervals.some(({ from, to }) => at >= from && at < to);
  }

  private time(at: number): string {
    return `${Math.round((at - this.began) / 1_000)} s`;
  }
}
