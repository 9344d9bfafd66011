import type { StatePaths } from '../cloud/paths.ts';
import { statusLines, statusOf } from './status.ts';
import { type UpOptions, up } from './up.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `runctl local up`: with progress, and ended cleanly by Ctrl-C. */
export async function runUp(paths: StatePaths, options: Pick<UpOptions, 'agentCommand' | 'deploy'>): Promise<void> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  // Both stay until everything is ended: a second Ctrl-C must not leave anything behind either.
  for (const signal of signals) process.on(signal, stop);
  try {
    const { untouched } = await up(paths, { ...options, signal: controller.signal, output: 'progress' });
    if (untouched) console.log('The local cloud was up already, and nothing had changed.');
    console.log(statusLines(await statusOf(paths)).join('\n'));
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}
