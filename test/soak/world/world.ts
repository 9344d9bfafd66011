import { readFileSync } from 'node:fs';
import { interruptionKey, NOTIFY_FUNCTION, POWER_MACHINE, RUN_MACHINE, STOP_FUNCTION } from '../../../core/names.ts';
import { archive } from '../../support/instance/tarball.ts';
import { type Execution, TaskError } from '../asl/execution.ts';
import { Executions } from '../asl/executions.ts';
import type { Clock } from '../clock.ts';
import { type Definitions, machineId } from '../definitions.ts';
import { Random } from '../random.ts';
import { AttemptWatch } from './attempts.ts';
import { BUCKET, Bucket } from './bucket.ts';
import { CheckpointWatch } from './checkpoints.ts';
import { FunctionFailed, Functions, type Services } from './functions.ts';
import type { InstanceTruth, SoakInstance } from './instance.ts';
import { Logs } from './logs.ts';
import { Ec2Power, type PowerPlan } from './power.ts';
import type { Deed, Incident, RunPlan, Schedule } from './schedule.ts';
import { Ssm } from './ssm.ts';
import { statesService } from './states.ts';
import { CALM, type Weather } from './weather.ts';

/** EC2 takes an instance so long after its notice, at the earliest. */
const NOTICE_MS = 120_000;
const INSTANCE_ID = 'i-0123456789abcdef0';
/** The script that every run trains. */
export const SCRIPT = readFileSync(new URL('train.py', import.meta.url));
const ARCHIVES = {
  plain: archive({ 'train.py': SCRIPT }),
  requiring: archive({ 'train.py': SCRIPT, 'requirements.txt': '# none\n' }),
} as const;

export interface WorldPorts {
  readonly clock: Clock;
  readonly definitions: Definitions;
  /** The start of every presigned URL. */
  readonly origin: string;
  /** Additional tags of the instance. */
  readonly tags: Readonly<Record<string, string>>;
  readonly instance: (world: World) => SoakInstance;
  /** Whether Poll logs commits checkpoints: of the model of the keeper. */
  readonly keepsCheckpoints: boolean;
  /** Of a managed instance. */
  readonly power?: PowerPlan;
}

/** An AWS account with one instance, in which one schedule is played. */
export class World {
  readonly schedule: Schedule;
  readonly clock: Clock;
  readonly random: Random;
  readonly logs: Logs;
  readonly bucket: Bucket;
  readonly checkpoints: CheckpointWatch;
  readonly attempts: AttemptWatch;
  readonly instance: SoakInstance;
  readonly ssm: Ssm;
  readonly functions: Functions;
  readonly machines: Executions;
  /** Executions of runs, by id. */
  readonly runs = new Map<string, Execution>();
  /** Runs that were aborted while they were running. */
  readonly aborted = new Set<string>();
  /** The intervals in which the instance did not answer, ms. */
  readonly outages: { readonly from: number; readonly to: number }[] = [];
  /** The intervals in which the instance was stopped or terminated, ms. */
  readonly stops: { readonly from: number; readonly to: number }[] = [];
  /** When EC2 announced that it takes the instance, and from when on, ms. */
  readonly notices: { readonly at: number; readonly from: number }[] = [];
  readonly power: Ec2Power | null = null;
  weather: Weather;
  /** How many starts of its job an incident has seen. */
  private readonly struck = new Map<Incident, number>();
  private readonly runMachine: string;
  private readonly powerMachine: string;
  /** The number of status events that are not delivered yet. */
  private events = 0;

  constructor(schedule: Schedule, ports: WorldPorts) {
    const { clock, definitions } = ports;
    this.schedule = schedule;
    this.clock = clock;
    this.weather = schedule.weather;
    this.random = new Random(schedule.seed).fork('world');
    const part = (name: string) => ({ clock, random: this.random.fork(name), weather: () => this.weather });
    this.logs = new Logs(clock, this.random.fork('logs'));
    this.bucket = new Bucket(clock, ports.origin);
    this.checkpoints = new CheckpointWatch(this.bucket, schedule.runs, () => clock.now());
    this.attempts = new AttemptWatch(clock, this.checkpoints, schedule.runs);
    for (const [name, bytes] of Object.entries(ARCHIVES)) this.bucket.objects.set(`archives/${name}.tar.gz`, bytes);
    this.instance = ports.instance(this);
    this.ssm = new Ssm({ ...part('ssm'), instance: this.instance, instanceId: INSTANCE_ID, tags: ports.tags });
    this.runMachine = machineId(definitions, RUN_MACHINE);
    this.powerMachine = machineId(definitions, POWER_MACHINE);
    const names = Object.values(definitions.functions);
    const nested = this.random.fork('nested');
    this.machines = new Executions(definitions.machines, {
      clock,
      random: this.random.fork('machines'),
      invoke: (id, payload) => this.invoke(definitions.functions[id]?.name ?? id, payload),
      startTrouble: () => {
        if (nested.chance(this.weather.refused / 2)) return 'refused';
        return nested.chance(this.weather.lost / 2) ? 'answer-lost' : null;
      },
      abortsNested: () => !nested.chance(this.weather.orphanedWatch),
      onEnter: (execution, state) => this.entered(execution, state),
      onEnd: (execution) => this.ended(execution),
    });
    const services: Services = {
      ...part('functions'),
      ssm: this.ssm,
      logs: this.logs,
      bucket: this.bucket,
      keepsCheckpoints: ports.keepsCheckpoints,
      states: statesService(this.machines, (arn) =>
        arn.endsWith(`:${POWER_MACHINE}`) ? this.powerMachine : this.runMachine,
      ),
      isGone: () => this.power?.isGone === true && this.weather !== CALM,
      lambda: (_command, { FunctionName, Payload }) => {
        // Notifications must not affect the run.
        if (FunctionName !== NOTIFY_FUNCTION)
          this.functions.later(String(FunctionName), JSON.parse(Buffer.from(Payload as Buffer).toString()));
        return {};
      },
    };
    this.functions = new Functions(services, Object.fromEntries(names.map(({ name, timeout }) => [name, timeout])));
    if (ports.power) {
      this.power = new Ec2Power({
        ...part('power'),
        plan: ports.power,
        ssm: this.ssm,
        instance: this.instance,
        truth: () => this.instance.truth() as InstanceTruth,
        running: () => new Set([...this.runs].filter(([, { running }]) => running).map(([id]) => id)),
        isCalm: () => this.weather === CALM,
        isCleaningUp: () => this.functions.active > 0,
        out: (from, to, isStop) => {
          this.outages.push({ from, to: to + 120_000 });
          if (isStop) this.stops.push({ from, to: to + 120_000 });
        },
      });
      this.ssm.power = this.power;
    }
    for (const run of schedule.runs) clock.timer(run.at, () => this.start(run));
    for (const incident of schedule.incidents) if ('at' in incident.when) this.plan(incident, incident.when.at);
  }

  /** Starts a run. */
  start(run: RunPlan): Execution {
    const uri = `s3://${BUCKET}/archives/${run.hasRequirements ? 'requiring' : 'plain'}.tar.gz`;
    const execution = this.machines.start(this.runMachine, run.id, { archive: uri, project: 'soak', ...run.spec });
    this.runs.set(run.id, execution);
    return execution;
  }

  /** Whether all runs of the schedule have ended and no work of theirs is left. */
  get isQuiet(): boolean {
    if (this.runs.size < this.schedule.runs.length) return false;
    const running = [...this.machines.all.values()].some((execution) => execution.running);
    return !running && this.functions.active === 0 && this.events === 0;
  }

  /** Ends all faults. */
  calm(): void {
    this.weather = CALM;
    this.instance.announce?.(null);
  }

  /** Called when a job of a run has started on the instance. */
  jobBegan(runId: string, job: string): void {
    for (const incident of this.schedule.incidents) {
      const { when } = incident;
      if (!('job' in when) || when.run !== runId || when.job !== job) continue;
      const count = (this.struck.get(incident) ?? 0) + 1;
      this.struck.set(incident, count);
      if (count <= when.times) this.plan(incident, when.after);
    }
  }

  private entered(execution: Execution, state: string): void {
    if (execution.about.machine === RUN_MACHINE) this.attempts.entered(execution, state);
    for (const incident of this.schedule.incidents) {
      const { when } = incident;
      if (!('state' in when) || when.run !== execution.about.name || when.state !== state) continue;
      const times = execution.history.filter((event) => event.kind === 'entered' && event.state === state).length;
      if (times + 1 === when.nth) this.plan(incident, when.after);
    }
  }

  private plan({ deed }: Incident, ms: number): void {
    this.clock.timer(ms, () => this.do(deed));
  }

  private do(deed: Deed): void {
    if (this.weather === CALM) return;
    switch (deed.kind) {
      case 'abort': {
        this.abort(deed.run);
        if (deed.again) this.clock.timer(1_000, () => this.abort(deed.run));
        return;
      }
      case 'strike':
        this.instance.strike(deed.run, deed.job, deed.victim);
        return;
      case 'agent-restart':
        this.out(15_000 + 60_000);
        this.ssm.restartAgent();
        return;
      case 'silence':
        this.out(deed.ms);
        this.ssm.silence(deed.ms);
        return;
      case 'reboot':
        if (this.ssm.state !== 'running') return;
        this.out(deed.ms + 60_000);
        this.ssm.powerOff(deed.ms);
        this.instance.powerOff(deed.soft);
        return;
      case 'stop-instance':
        this.stopInstance(deed);
        return;
      case 'notice':
        this.announce(deed);
        return;
    }
  }

  private announce({ action, event, taken, ms }: Extract<Deed, { kind: 'notice' }>): void {
    if (this.ssm.state !== 'running' || !this.ssm.up || this.instance.announce === undefined) return;
    const now = this.clock.now();
    const notice = { action, time: (now + NOTICE_MS) / 1_000 };
    this.notices.push({ at: now, from: now + NOTICE_MS });
    this.instance.announce(notice);
    if (event) this.bucket.objects.set(interruptionKey(INSTANCE_ID), Buffer.from(JSON.stringify(notice)));
    if (taken === null) this.clock.timer(NOTICE_MS, () => this.instance.announce?.(null));
    else {
      const state = action === 'stop' ? 'stopped' : 'terminated';
      this.clock.timer(taken, () => {
        if (this.weather === CALM) return;
        this.instance.announce?.(null);
        this.stopInstance({ kind: 'stop-instance', state, ms });
      });
    }
  }

  private stopInstance({ state, ms }: Extract<Deed, { kind: 'stop-instance' }>): void {
    if (this.ssm.state !== 'running') return;
    // One that is terminated stays so.
    const returns = state === 'stopped' ? ms : null;
    this.out(returns === null ? Number.POSITIVE_INFINITY : returns + 60_000);
    const from = this.clock.now();
    this.stops.push({ from, to: returns === null ? Number.POSITIVE_INFINITY : from + returns });
    this.ssm.state = state;
    this.ssm.powerOff(returns);
    this.instance.powerOff(true);
    if (returns !== null)
      this.clock.timer(returns, () => {
        this.ssm.state = 'running';
      });
  }

  private abort(runId: string): void {
    const execution = this.runs.get(runId);
    if (!execution?.running) return;
    this.aborted.add(runId);
    this.machines.stop(execution.about.arn, null, 'a person');
  }

  private out(ms: number): void {
    const from = this.clock.now();
    this.outages.push({ from, to: from + ms });
  }

  private async invoke(name: string, payload: unknown): Promise<unknown> {
    try {
      return await this.functions.call(name, payload);
    } catch (error) {
      throw error instanceof FunctionFailed ? new TaskError(error.name, error.message) : error;
    }
  }

  /** EventBridge notifies stop-run of executions that did not succeed. An event may be lost or come twice. */
  private ended({ about, status }: Execution): void {
    if (about.machine !== RUN_MACHINE || !['ABORTED', 'TIMED_OUT', 'FAILED'].includes(status)) return;
    const { lost, twice, late } = this.weather.event;
    if (this.random.chance(lost)) return;
    const sendEvent = () => {
      const ms = this.random.chance(late)
        ? this.random.spread(1_000, Math.max(2_000, Math.min(this.weather.latest, 600_000)))
        : this.random.between(100, 1_500);
      this.events += 1;
      this.clock.timer(ms, () => {
        this.events -= 1;
        this.functions.later(STOP_FUNCTION, { detail: { executionArn: about.arn } });
      });
    };
    sendEvent();
    if (this.random.chance(twice)) sendEvent();
  }
}
