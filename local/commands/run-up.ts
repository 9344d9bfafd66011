import { localCommand, type StatePaths } from '../cloud/paths.ts';
import { nextCommands } from './next-commands.ts';
import { type UpOptions, up } from './up.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs `runctl local up`: shows progress, and stops cleanly on Ctrl-C. */
export async function runUp(paths: StatePaths, options: Pick<UpOptions, 'agentCommand' | 'deploy'>): Promise<void> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  // The handlers stay until everything has stopped, so that a second Ctrl-C leaves nothing running.
  for (const signal of signals) process.on(signal, stop);
  try {
    const { state, unchanged } = await up(paths, { ...options, signal: controller.signal, output: 'progress' });
    console.log(
      unchanged ? 'The local cloud was already running, and nothing had changed.' : 'The local cloud is running.',
    );
    const next: [string, string] =
      state.deployed === null
        ? ['Deploy runctl into it:', localCommand('up', paths)]
        : ['In that shell, in a project folder, train:', `runctl run --instance ${state.instanceId}`];
    console.log(nextCommands(paths, [next]).join('\n'));
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}
