import type { Clock } from '../clock.ts';

/** A process of a command on the instance. It may be killed at any time and then does nothing more. */
export class Command {
  private readonly clock: Clock;
  private readonly held = new Set<Lock>();
  killed = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Lets time pass. Never returns if the command is killed meanwhile. */
  async spend(ms: number): Promise<void> {
    await this.clock.sleep(ms);
    if (this.killed) await new Promise(() => undefined);
  }

  /** The kernel releases the locks of a killed process. */
  kill(): void {
    this.killed = true;
    for (const lock of this.held) lock.free(this);
    this.held.clear();
  }

  async locked<T>(lock: Lock, work: () => Promise<T>): Promise<T> {
    await lock.take(this);
    this.held.add(lock);
    if (this.killed) {
      this.kill();
      await new Promise(() => undefined);
    }
    try {
      return await work();
    } finally {
      this.held.delete(lock);
      lock.free(this);
    }
  }
}

/** A model of flock: one holder, the others wait. */
export class Lock {
  private holder: Command | null = null;
  private readonly waiting: { command: Command; go: () => void }[] = [];

  take(command: Command): Promise<void> {
    if (this.holder === null) {
      this.holder = command;
      return Promise.resolve();
    }
    return new Promise((go) => void this.waiting.push({ command, go }));
  }

  free(command: Command): void {
    if (this.holder !== command) return;
    this.holder = null;
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
      if (next.command.killed) continue;
      this.holder = next.command;
      next.go();
      return;
    }
  }
}
