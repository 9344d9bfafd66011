import { rm, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { markName } from '../cloud/environment.ts';
import { killJobs } from '../cloud/instance-processes.ts';
import { withLock } from '../cloud/lock.ts';
import type { StatePaths } from '../cloud/paths.ts';
import { endGroup, killMarked } from '../cloud/processes.ts';
import { readState } from '../cloud/state.ts';

export interface DownOptions {
  /** Remove what is kept between clouds too: Python environments and caches. */
  readonly purge: boolean;
}

/** Ends the local cloud with every process of it and removes what it wrote. Without one it does nothing. */
export async function down(paths: StatePaths, { purge }: DownOptions): Promise<{ ended: number }> {
  return await withLock(
    paths.lock,
    () => console.error('Another `runctl local` command is running. Waiting for it to end.'),
    async () => {
      const ended = await endCloud(paths);
      if (purge) await removeAll(paths);
      return { ended };
    },
  );
}

/**
 * Ends what runs: the agent first, so that no command starts any more, then the emulator with its Lambda workers, then the
 * jobs, then whatever else carries this cloud's mark. Removes its files. @returns how many processes had to be looked for.
 */
export async function endCloud(paths: StatePaths): Promise<number> {
  // A state file that cannot be read must not keep anything alive: the marks find all of it.
  const state = await readState(paths).catch(() => undefined);
  if (state?.agent) await endGroup(state.agent, 3_000);
  if (state !== undefined) await endGroup(state.ministack, 5_000);
  const jobs = await killJobs(paths);
  const rest = await killMarked((entry) => entry === `${markName}=${paths.local}`);
  for (const folder of [paths.local, paths.instance]) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  return jobs + rest + (state === undefined ? 0 : 1) + (state?.agent ? 1 : 0);
}

// By name, never the whole folder: somebody may have chosen one that holds other things.
async function removeAll(paths: StatePaths): Promise<void> {
  for (const path of [paths.venvs, paths.cache]) await rm(path, { recursive: true, force: true });
  for (const folder of new Set([dirname(paths.cache), paths.base])) await rmdir(folder).catch(() => undefined); // not ours alone
}
