import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DescribeInstancesCommand, EC2Client, StartInstancesCommand, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { jobOfAttempt } from '../../../core/names.ts';
import { noteStop } from '../../../local/agent/environment.ts';
import { localSettings } from '../../../local/cloud/clients.ts';
import { keepPackageCaches, registerInstance } from '../../../local/cloud/instance.ts';
import { killInstanceProcesses } from '../../../local/cloud/instance-processes.ts';
import { type StatePaths, statePaths } from '../../../local/cloud/paths.ts';
import { markedProcesses } from '../../../local/cloud/processes.ts';
import type { LocalState } from '../../../local/cloud/state.ts';
import { giveNotice } from '../../support/cloud/notice.ts';
import { isAlive, killQuietly, waitFor } from '../../support/instance/processes.ts';

const DISK = '64m';
/** A run waits so long after a notice for EC2 to take the instance; the notices are of that time ago. */
const TAKEN_AFTER_MS = 290_000;

/** A training that has begun. */
export interface Training {
  readonly attempt: number;
  readonly pid: number;
  readonly supervisor: number;
}

/** The instance of a local cloud, on a small disk of its own, and what happens to it. */
export class Machine {
  private readonly paths: StatePaths;
  private readonly ec2: EC2Client;

  private constructor(
    readonly id: string,
    readonly folder: string,
    state: LocalState,
    base: string,
  ) {
    this.paths = statePaths(base);
    this.ec2 = new EC2Client(localSettings(state));
  }

  static async register(state: LocalState, base: string, project: string): Promise<Machine> {
    const folder = join(statePaths(base).instance, project);
    mkdirSync(folder, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=755`, 'runctl-soak', folder]);
    const id = await registerInstance(state, { name: project, project, folder });
    await keepPackageCaches(join(folder, 'home'), statePaths(base));
    return new Machine(id, folder, state, base);
  }

  async remove(): Promise<void> {
    await killInstanceProcesses(this.id);
    this.ec2.destroy();
    execFileSync('umount', ['-l', this.folder]);
  }

  /** The training of an attempt after `after` that is running, or null. */
  training(after: number): Training | null {
    const [run] = this.list('runs');
    if (run === undefined) return null;
    const attempts = this.list('runs', run).flatMap((name) => /^train(?:-(\d+))?$/.exec(name)?.slice(1, 2) ?? []);
    const attempt = Math.max(0, ...attempts.map((number) => Number(number ?? 1)));
    const identity = this.read('runs', run, jobOfAttempt('train', attempt), 'identity.json') as {
      pid: number;
      supervisor: { pid: number };
    } | null;
    if (attempt <= after || identity === null || !isAlive(identity.pid)) return null;
    return { attempt, pid: identity.pid, supervisor: identity.supervisor.pid };
  }

  /** Kills the keeper of a training. @returns whether there was one */
  killKeeper({ attempt }: Training): boolean {
    const [run = ''] = this.list('runs');
    const keeper = this.read('runs', run, jobOfAttempt('train', attempt), 'keeper', 'identity.json') as {
      pid: number;
    } | null;
    const isThere = keeper !== null && isAlive(keeper.pid);
    if (isThere) killQuietly(keeper.pid);
    return isThere;
  }

  async reboot(): Promise<void> {
    noteStop(this.paths.agent, this.id);
    await killInstanceProcesses(this.id);
  }

  announceStop(): void {
    const time = new Date(Date.now() - TAKEN_AFTER_MS).toISOString().replace(/\.\d+/, '');
    giveNotice(this.paths, this.id, { 'instance-action': { action: 'stop', time } });
  }

  /** EC2 takes the instance, and it comes back. */
  async takeAndReturn(): Promise<void> {
    const ids = { InstanceIds: [this.id] };
    await this.ec2.send(new StopInstancesCommand(ids));
    await waitFor(async () => ((await this.state()) === 'stopped' && (await this.processes()) === 0) || null, 60);
    rmSync(join(this.paths.notices, `${this.id}.json`), { force: true });
    await waitFor(async () => {
      try {
        await this.ec2.send(new StartInstancesCommand(ids));
      } catch (error) {
        if ((error as Error).name !== 'IncorrectInstanceState') throw error;
      }
      return (await this.state()) === 'running' || null;
    }, 60);
  }

  /** Fills the disk to the last byte. @returns what makes room again */
  fillDisk(): () => void {
    const ballast = join(this.folder, 'ballast');
    const file = openSync(ballast, 'w');
    for (const bytes of [1 << 20, 1 << 12, 1]) {
      try {
        for (;;) writeSync(file, Buffer.alloc(bytes));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
    closeSync(file);
    return () => rmSync(ballast);
  }

  /** The number of the instance's processes. */
  async processes(): Promise<number> {
    return (await markedProcesses((entry) => entry === `AWS_SSM_INSTANCE_ID=${this.id}`)).length;
  }

  get isHeld(): boolean {
    return existsSync(join(this.folder, 'root', 'lease', 'holder.json'));
  }

  private async state(): Promise<string | undefined> {
    const { Reservations } = await this.ec2.send(new DescribeInstancesCommand({ InstanceIds: [this.id] }));
    return Reservations?.[0]?.Instances?.[0]?.State?.Name;
  }

  private list(...path: readonly string[]): string[] {
    try {
      return readdirSync(join(this.folder, 'root', ...path));
    } catch {
      return [];
    }
  }

  /** A JSON file below the runner's root; null: it is not there, or not whole yet. */
  private read(...path: readonly string[]): unknown {
    try {
      return JSON.parse(readFileSync(join(this.folder, 'root', ...path), 'utf8'));
    } catch {
      return null;
    }
  }
}
