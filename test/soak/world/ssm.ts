import { randomUUID } from 'node:crypto';
import { RUN_DOCUMENT } from '../../../core/names.ts';
import type { BringRequest, RunnerRequest } from '../../../core/protocol/messages.ts';
import { awsError } from '../../support/fakes/sdk-client.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Running, SoakInstance } from './instance.ts';
import type { Service } from './invocation.ts';
import type { Weather } from './weather.ts';

const WORKERS = 5;
const STALE_PING_MS = 5 * 60_000;
const OUTPUT_BYTES = 24_000;
const REQUEST_BYTES = 16 * 1024;
/** The document's time-out, after which the agent kills the command's process group. */
const EXECUTION_MS = 60_000;
/** SSM's delivery time-out. */
const DELIVERY_MS = 30_000;
/** The delay until a restarted machine's agent reports the commands that were running. */
const FAILED_AFTER_MS = 60_000;

/** Falls in the middle of most runs. */
const DEPLOYED_EVERY_MS = 10 * 60_000;

type Status = 'Pending' | 'InProgress' | 'Success' | 'Failed' | 'TimedOut';

interface Invoked {
  status: Status;
  output: string;
  /** The time from which GetCommandInvocation returns it; null: never. */
  readonly existsAt: number | null;
}

interface Delivery {
  readonly request: RunnerRequest & BringRequest;
  readonly version: string;
  /** null: a second delivery, which SSM does not report. */
  readonly invoked: Invoked | null;
  running: Running | null;
}

export interface SsmPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly weather: () => Weather;
  readonly instance: SoakInstance;
  readonly instanceId: string;
  /** Additional tags of the instance. */
  readonly tags: Readonly<Record<string, string>>;
}

/** SSM Run Command and the instance's agent: five workers, 24,000 bytes of output, and faults by the weather. */
export class Ssm {
  /** Whether the agent is connected. */
  online = true;
  /** EC2's state of the instance. */
  state: 'running' | 'stopped' | 'terminated' | 'stopping' | 'pending' = 'running';
  /** Of a managed instance: EC2's answers to what starts and stops it. */
  power: { answer(command: string): object | null; readonly reason: string | null } | null = null;
  /** Which requests are done, and never answered; null: none. */
  loses: ((request: RunnerRequest) => boolean) | null = null;
  /** When EC2 started the instance last, ms. */
  launchedAt = 0;
  private pingedAt = 0;
  private outages = 0;
  /** Whether the machine is running. */
  up = true;
  /** Calls that AWS would refuse as malformed, which are defects of the product. */
  readonly refusals: string[] = [];
  private readonly commands = new Map<string, Invoked>();
  private readonly queue: Delivery[] = [];
  private readonly working = new Set<Delivery>();
  /** Versions of the document whose program is on the instance. */
  private readonly programs = new Set<string>();
  /** The document version of each run's first command. */
  private readonly versions = new Map<string, string>();
  /** The number of pending deliveries. */
  private pending = 0;
  private readonly ports: SsmPorts;

  constructor(ports: SsmPorts) {
    this.ports = ports;
  }

  /** Whether no command is pending or running. */
  get isQuiet(): boolean {
    return this.pending === 0 && this.queue.length === 0 && this.working.size === 0;
  }

  /** The document version for a run that starts now. It changes when another program is deployed. */
  get documentVersion(): string {
    return String(1 + Math.floor(this.ports.clock.now() / DEPLOYED_EVERY_MS));
  }

  readonly service: Service = (command, input) => {
    switch (command) {
      case 'SendCommand':
        return this.send(input);
      case 'GetCommandInvocation':
        return this.get(String(input.CommandId));
      case 'DescribeInstanceInformation':
        return { InstanceInformationList: [this.power ? this.ping() : { PingStatus: this.pingStatus }] };
      default:
        throw new Error(`SSM of the soak knows no ${command}`);
    }
  };

  private get pingStatus(): string {
    return this.online && this.up ? 'Online' : 'ConnectionLost';
  }

  /** SSM believes for some minutes that an agent is online that is not. */
  private ping(): object {
    const now = this.ports.clock.now();
    if (this.online && this.up) this.pingedAt = now;
    const isRecent = now - this.pingedAt < STALE_PING_MS;
    return { PingStatus: isRecent ? 'Online' : 'ConnectionLost', LastPingDateTime: new Date(this.pingedAt) };
  }

  readonly ec2: Service = (command) => this.power?.answer(command) ?? this.describe();

  private describe = (): object => ({
    Reservations: [
      {
        Instances: [
          {
            InstanceId: this.ports.instanceId,
            State: { Name: this.state },
            ...(this.power
              ? { LaunchTime: new Date(this.launchedAt), StateReason: { Code: this.power.reason ?? '' } }
              : {}),
            InstanceType: 'g5.xlarge',
            ImageId: 'ami-1',
            Tags: [
              { Key: 'runctl', Value: 'enabled' },
              { Key: 'Project', Value: 'soak' },
              ...Object.entries(this.ports.tags).map(([Key, Value]) => ({ Key, Value })),
            ],
          },
        ],
      },
    ],
  });

  /** The machine of a managed instance has booted; its agent comes online later. */
  powerOn(): void {
    this.outages += 1;
    this.up = true;
  }

  goOnline(): void {
    this.online = true;
    this.pingedAt = this.ports.clock.now();
    this.serve();
  }

  /** Disconnects the agent for a while. */
  silence(ms: number): void {
    this.online = false;
    this.ports.clock.timer(ms, () => {
      this.online = true;
      this.serve();
    });
  }

  /** Restarts the agent. Scripts continue, but their results are reported late or wrong. */
  restartAgent(): void {
    const { random, clock } = this.ports;
    for (const delivery of this.working) {
      this.working.delete(delivery);
      const { invoked, running } = delivery;
      if (random.chance(0.5)) {
        void running?.output.then((output) => clock.timer(46_000, () => this.report(invoked, 'Success', output)));
      } else {
        clock.timer(FAILED_AFTER_MS, () => this.report(invoked, 'Failed', ''));
      }
    }
    this.silence(random.between(1_000, 15_000));
  }

  /** Shuts the machine down and starts it again after `ms`; null: never. */
  powerOff(ms: number | null): void {
    this.up = false;
    const cut = [...this.working, ...this.queue.splice(0)];
    this.working.clear();
    for (const { running } of cut) running?.kill();
    this.outages += 1;
    const { outages } = this;
    if (ms === null) return;
    this.ports.clock.timer(ms, () => {
      // A managed instance may have been stopped meanwhile.
      if (this.power && outages !== this.outages) return;
      this.up = true;
      this.serve();
      for (const { invoked } of cut) this.ports.clock.timer(FAILED_AFTER_MS, () => this.report(invoked, 'Failed', ''));
    });
  }

  private send(input: Record<string, unknown>): object {
    const { clock, random, instanceId } = this.ports;
    const [data = ''] = (input.Parameters as { Request: string[] }).Request;
    const json = Buffer.from(data, 'base64').toString('utf8');
    const document = String(input.DocumentName);
    if (!/^[A-Za-z0-9+/=]*$/.test(data) || json.length > REQUEST_BYTES || document !== RUN_DOCUMENT) {
      this.refusals.push(`SendCommand of ${document} with ${json.length} characters`);
      throw awsError('InvalidParameters');
    }
    if ((input.InstanceIds as string[])[0] !== instanceId || this.state !== 'running')
      throw awsError('InvalidInstanceId');
    const id = randomUUID();
    const { command, latest } = this.ports.weather();
    const { twice, late, never } = command;
    const fate = random.next();
    const isLost = fate < never;
    const existsAt = isLost && random.chance(0.3) ? null : clock.now() + random.spread(1, 4_000);
    const invoked: Invoked = { status: 'Pending', output: '', existsAt };
    this.commands.set(id, invoked);
    const request = JSON.parse(json) as RunnerRequest;
    const version = String(input.DocumentVersion);
    const { key } = request.run;
    const first = this.versions.get(key) ?? version;
    this.versions.set(key, first);
    if (version !== first)
      this.refusals.push(`SendCommand of version ${version} for ${key}, which began with ${first}`);
    const deliver = (ms: number, to: Invoked | null) => {
      this.pending += 1;
      clock.timer(ms, () => {
        this.pending -= 1;
        this.deliver({ request, version, invoked: to, running: null });
      });
    };
    if (isLost || fate < never + late) {
      const ends = random.chance(0.7);
      if (ends) clock.timer(DELIVERY_MS, () => this.report(invoked, 'TimedOut', ''));
      if (!isLost) deliver(random.spread(DELIVERY_MS, latest), null);
      return { Command: { CommandId: id } };
    }
    deliver(random.spread(20, 1_500), invoked);
    if (random.chance(twice)) deliver(random.spread(20, latest), null);
    return { Command: { CommandId: id } };
  }

  private get(id: string): object {
    const invoked = this.commands.get(id);
    if (!invoked || invoked.existsAt === null || this.ports.clock.now() < invoked.existsAt)
      throw awsError('InvocationDoesNotExist');
    return { Status: invoked.status, StatusDetails: invoked.status, StandardOutputContent: invoked.output };
  }

  private deliver(delivery: Delivery): void {
    if (this.state !== 'running') return;
    this.queue.push(delivery);
    if (!this.up || !this.online) {
      // Not delivered within the time-out: SSM withdraws it.
      this.ports.clock.timer(DELIVERY_MS, () => {
        const at = this.queue.indexOf(delivery);
        if (at === -1) return;
        this.queue.splice(at, 1);
        this.report(delivery.invoked, 'TimedOut', '');
      });
    }
    this.serve();
  }

  private serve(): void {
    while (this.up && this.online && this.working.size < WORKERS) {
      const delivery = this.queue.shift();
      if (!delivery) return;
      this.working.add(delivery);
      void this.work(delivery);
    }
  }

  private async work(delivery: Delivery): Promise<void> {
    const { clock, instance } = this.ports;
    const { invoked, request } = delivery;
    if (invoked) invoked.status = 'InProgress';
    const refusal = this.refuse(delivery);
    if (refusal !== null) {
      const error = { name: refusal, message: 'a soak' };
      this.finish(delivery, 'Success', JSON.stringify({ protocol: 1, ok: false, error }));
      return;
    }
    const running = instance.execute(request);
    delivery.running = running;
    const cancel = clock.timer(EXECUTION_MS, () => {
      if (!this.working.has(delivery)) return;
      running.kill();
      this.finish(delivery, 'TimedOut', '');
    });
    const output = await running.output;
    cancel();
    if (this.working.has(delivery)) this.finish(delivery, 'Success', output);
  }

  /** The document's part: the instance fetches a program once, when a request contains its URL. */
  private refuse({ request, version }: Delivery): string | null {
    if (this.programs.has(version)) return null;
    if (request.program === undefined) return 'ProgramMissing';
    const { random, weather } = this.ports;
    if (random.chance(weather().put)) return 'ProgramFetchFailed';
    this.programs.add(version);
    return null;
  }

  private finish(delivery: Delivery, status: Status, output: string): void {
    this.working.delete(delivery);
    this.serve();
    if (this.loses?.(delivery.request)) return;
    const { random, weather } = this.ports;
    const { misreported, garbled } = weather().command;
    if (random.chance(misreported)) {
      const reported = random.pick(['TimedOut', 'Failed', 'never'] as const);
      if (reported !== 'never') this.report(delivery.invoked, reported, random.chance(0.5) ? output : '');
      return;
    }
    const damaged = random.chance(garbled) ? garble(output, random) : output;
    this.report(delivery.invoked, status, damaged);
  }

  private report(invoked: Invoked | null, status: Status, output: string): void {
    if (!invoked || (invoked.status !== 'Pending' && invoked.status !== 'InProgress')) return;
    invoked.status = status;
    const isCut = Buffer.byteLength(output) >= OUTPUT_BYTES;
    invoked.output = isCut ? `${output.slice(0, OUTPUT_BYTES - 20)}--output truncated--` : output;
  }
}

function garble(output: string, random: Random): string {
  const at = random.int(0, Math.max(0, output.length - 1));
  return random.pick(['', output.slice(0, at), `${output.slice(0, at)}\uFFFD--output truncated--`, `x${output}`]);
}
