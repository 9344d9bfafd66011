import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { projectRoot, statePaths } from '../../../local/cloud/paths.ts';
import { up } from '../../../local/commands/up.ts';
import { isAlive } from '../instance/processes.ts';
import { removeCloud } from './own-cloud.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder of the local cloud that the end-to-end tests share, separate from the person's own. */
    readonly cloudFolder: string;
  }
}

const CLOUDS = join(projectRoot, '.runctl', 'test');

/**
 * One local cloud for all end-to-end tests of this process. RUNCTL_AGENT_COMMAND=<program> replaces the
 * built-in agent, for example with one
 * built from the vendor's source.
 */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  await removeLeftovers();
  const folder = join(CLOUDS, String(process.pid));
  const paths = statePaths(folder);
  console.log('Bringing up a local cloud for the end-to-end tests (first time: 30 s and more)');
  await up(paths, {
    agentCommand: process.env.RUNCTL_AGENT_COMMAND ?? null,
    deploy: 'always',
    signal: new AbortController().signal,
    output: 'progress',
  });
  project.provide('cloudFolder', folder);
  return () => removeCloud(folder);
}

/** Removes the clouds of killed test runs: `<pid>`, and `<pid>-<name>` of a file with its own cloud. */
async function removeLeftovers(): Promise<void> {
  mkdirSync(CLOUDS, { recursive: true });
  for (const name of readdirSync(CLOUDS)) {
    const pid = /^(\d+)(-|$)/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await removeCloud(join(CLOUDS, name));
  }
}
