import { rmSync, statSync } from 'node:fs';
import type { Commands } from './commands.ts';
import type { ListInstances } from './instances.ts';
import { shutdownFile } from './machine.ts';
import type { PowerOff } from './power-off.ts';

const everyMs = 1_000;
// A shutdown takes a moment: the command that asked for it still gets its answer out.
const shutdownMs = 1_000;

export interface WatchOptions {
  readonly commands: Commands;
  readonly instances: ListInstances;
  /** The agent's own folder. */
  readonly folder: string;
  /** Ends every process on an instance. */
  readonly kill: (instanceId: string) => Promise<unknown>;
  readonly powerOff: PowerOff;
  readonly onError: (error: unknown) => void;
}

/**
 * Ends the processes of instances that StopInstances or TerminateInstances has stopped, and powers off those that have
 * asked for it from inside.
 */
export function watchInstances({ commands, instances, folder, kill, powerOff, onError }: WatchOptions): void {
  let running = new Set<string>();
  const end = async (id: string) => {
    commands.loseInstance(id);
    await kill(id);
  };
  const check = async () => {
    const known = commands.instanceIds();
    if (known.length > 0) {
      const now = new Set((await instances()).filter((one) => one.state === 'running').map((one) => one.id));
      for (const id of known) {
        const file = shutdownFile(folder, id);
        const isShuttingDown = isOlder(file, shutdownMs);
        if (isShuttingDown && now.delete(id)) {
          // Nothing runs on an instance that EC2 shows as stopped.
          await end(id);
          await powerOff(id);
        } else if (running.has(id) && !now.has(id)) await end(id);
        if (isShuttingDown) rmSync(file, { force: true });
      }
      running = now;
    }
  };
  const again = () => {
    const failed = (error: unknown) => {
      // The emulator may be starting or stopping. The next check tries again.
      if (!(error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED')) onError(error);
    };
    check()
      .catch(failed)
      .finally(() => setTimeout(again, everyMs).unref());
  };
  again();
}

/** Whether a file exists and was written longer ago. */
function isOlder(file: string, ms: number): boolean {
  const info = statSync(file, { throwIfNoEntry: false });
  return info !== undefined && info.mtimeMs < Date.now() - ms;
}
