import { readdir } from 'node:fs/promises';
import type { StatePaths } from './paths.ts';
import { killMarked } from './processes.ts';

/** Ends every process of one instance, as a reboot does. */
export async function killInstanceProcesses(instanceId: string): Promise<number> {
  return await killMarked((entry) => entry === instanceMark(instanceId));
}

/**
 * Ends every process of this cloud's instances: those that carry the id of an instance that received a
 * command, and those whose HOME is on an instance's disk (started by another agent, under its own id).
 */
export async function killJobs(paths: StatePaths): Promise<number> {
  const marks = new Set((await instanceIds(paths)).map(instanceMark));
  return await killMarked((entry) => marks.has(entry) || entry.startsWith(`HOME=${paths.instance}/`));
}

// All processes that the agent and the runner's supervisor start inherit this variable.
function instanceMark(instanceId: string): string {
  return `AWS_SSM_INSTANCE_ID=${instanceId}`;
}

async function instanceIds(paths: StatePaths): Promise<string[]> {
  try {
    return (await readdir(paths.agent)).filter((name) => name.startsWith('i-'));
  } catch {
    return []; // no agent has run in this cloud
  }
}
