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

/** Makes StopInstances and TerminateInstances real: once an instance does not run, nothing on it runs either. */
export function watchInstances({ commands, instances, kill, onError }: WatchOptions): void {
  let running = new Set<string>();
  const look = async () => {
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
      // The emulator may be on its way down or up: the next look will tell.
      if (!(error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED')) onError(error);
    };
    look()
      .catch(failed)
      .finally(() => setTimeout(again, everyMs).unref());
  };
  again();
}
