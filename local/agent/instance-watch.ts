import type { Commands } from './commands.ts';
import type { ListInstances } from './instances.ts';

const everyMs = 1_000;

export interface WatchOptions {
  readonly commands: Commands;
  readonly instances: ListInstances;
  /** Ends every process on an instance. */
  readonly kill: (instanceId: string) => Promise<unknown>;
  readonly onError: (error: unknown) => void;
}

/** Ends the processes of instances that StopInstances or TerminateInstances has stopped. */
export function watchInstances({ commands, instances, kill, onError }: WatchOptions): void {
  let running = new Set<string>();
  const check = async () => {
    const known = commands.instanceIds();
    if (known.length > 0) {
      const now = new Set((await instances()).filter((one) => one.state === 'running').map((one) => one.id));
      for (const id of known) {
        if (!running.has(id) || now.has(id)) continue;
        commands.loseInstance(id);
        await kill(id);
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
