import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Instance } from './instances.ts';

/** The tag of an instance of which an image is made: it may power itself off. The machine of others is somebody's. */
const BAKE_TAG = 'runctl:bake';
const ROOT_TAG = 'runctl:root';

/** What the agent adds to the environment of an instance's commands, by the instance's tags and disk. */
export type MachineVariables = Readonly<Record<string, string>>;

/** The file whose appearance powers an instance off. */
export function shutdownFile(folder: string, instanceId: string): string {
  return join(folder, `${instanceId}.shutdown`);
}

/**
 * @param folder the agent's own folder
 * @returns for an instance with a disk of its own, RUNCTL_SYSTEM_ROOT: the folder that stands for its machine's system;
 * for one of which an image is made, RUNCTL_SHUTDOWN: the command that powers it off, as a JSON list
 */
export function machineVariables({ id, tags }: Instance, folder: string): MachineVariables {
  const system = tags[ROOT_TAG] === undefined ? undefined : join(dirname(tags[ROOT_TAG]), 'system');
  return {
    ...(system !== undefined && existsSync(system) ? { RUNCTL_SYSTEM_ROOT: system } : {}),
    ...(BAKE_TAG in tags ? { RUNCTL_SHUTDOWN: JSON.stringify(['touch', shutdownFile(folder, id)]) } : {}),
  };
}
