import { readSnapshot } from '../../cli/runs/activity.ts';
import type { RunEvent } from '../../cli/runs/follow.ts';
import type { Print } from '../../cli/runs/print-events.ts';
import { RunStore } from '../../cli/runs/store.ts';
import { pollUntil } from '../../cli/terminal/poll.ts';
import { latestKey } from '../../core/checkpoints/keys.ts';
import { readLatest } from '../../core/checkpoints/manifest.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';
import type { Clients } from '../cloud/clients.ts';
import type { StartedRun } from './run.ts';

const POLL_MS = 1_000;

/** Kills the training of the demo once it has a checkpoint in S3, as a crash would. */
export class Interruption {
  #pid: number | null = null;

  /** Learns the PID of the training. */
  see(event: RunEvent): void {
    if (event.kind !== 'state' || event.event.kind !== 'exited' || event.event.state !== RUN_STATES.confirm) return;
    this.#pid = readSnapshot(event.event.output)?.pid ?? null;
  }

  async waitAndKill(run: StartedRun, clients: Clients, print: Print, signal: AbortSignal): Promise<void> {
    const store = new RunStore(clients.s3, run.bucket);
    const readName = async () => {
      const object = await store.open(latestKey(run.project, run.runId), 0, signal);
      const latest = readLatest((await object?.Body?.transformToString()) ?? '');
      return latest !== null && this.#pid !== null ? latest.name : undefined;
    };
    const name = await pollUntil(POLL_MS, readName, signal);
    print(`${' '.repeat(9)}--interrupt: ${name} is in S3; killing the training, PID ${this.#pid}`);
    if (this.#pid !== null) process.kill(this.#pid, 'SIGKILL');
  }
}
