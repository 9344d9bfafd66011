import { rm, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { markName } from '../cloud/environment.ts';
import { killJobs } from '../cloud/instance-processes.ts';
import { withLock } from '../cloud/lock.ts';
import type { StatePaths } from '../cloud/paths.ts';
import { endGroup, killMarked } from '../cloud/processes.ts';
import { readState } from '../cloud/state.ts';

export interface DownOptions {
  /** Also removes what `down` normally keeps: Python environments and caches. */
  readonly purge: boolean;
}

/** Stops the local cloud and all of its processes, and removes its files. Does nothing if none is running. */
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
 * Stops the agent first, so that no new command starts, then the emulator with its Lambda workers,
 * then the jobs, then every other process that carries this cloud's mark. Removes the cloud's files.
 * @returns the number of processes that were ended
 */
export async function endCloud(paths: StatePaths): Promise<number> {
  // If the state file cannot be read, the marks still identify every process.
  const state = await readState(paths).catch(() => undefined);
  if (state?.agent) await endGroup(state.agent, 3_000);
  if (state !== undefined) await endGroup(state.ministack, 5_000);
  const jobs = await killJobs(paths);
  const rest = await killMarked((entry) => entry === `${markName}=${paths.local}`);
  for (const folder of [paths.local, paths.instance, paths.images])
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  return jobs + rest + (state === undefined ? 0 : 1) + (state?.agent ? 1 : 0);
}

// Removes folders by name, never the whole state folder, which may contain a person's other files.
async function removeAll(paths: StatePaths): Promise<void> {
  for (const path of [paths.venvs, paths.cache]) await rm(path, { recursive: true, force: true });
  for (const folder of new Set([dirname(paths.cache), paths.base])) await rmdir(folder).catch(() => undefined); // not empty: others use it
}
