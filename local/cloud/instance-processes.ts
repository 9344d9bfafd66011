import { readdir } from 'node:fs/promises';
import type { StatePaths } from './paths.ts';
import { killMarked } from './processes.ts';

/** Ends everything that runs "on" one instance, as a reboot does. */
export async function killInstanceProcesses(instanceId: string): Promise<number> {
  return await killMarked((entry) => entry === instanceMark(instanceId));
}

/**
 * Ends everything that runs on the instances of this cloud: what carries the id of an instance that ever got a command
 * here, and what has its HOME on their disk (jobs that another agent started under an id of its own).
 */
export async function killJobs(paths: StatePaths): Promise<number> {
  const marks = new Set((await instanceIds(paths)).map(instanceMark));
  return await killMarked((entry) => marks.has(entry) || entry.startsWith(`HOME=${paths.instance}/`));
}

// The agent and the runner's supervisor hand this variable on to all they start.
function instanceMark(instanceId: string): string {
  return `AWS_SSM_INSTANCE_ID=${instanceId}`;
}

async function instanceIds(paths: StatePaths): Promise<string[]> {
  try {
    return (await readdir(paths.agent)).filter((name) => name.startsWith('i-'));
  } catch {
    return []; // no agent ever ran here
  }
}
