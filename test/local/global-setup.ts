import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { down } from '../../local/down.ts';
import { projectRoot, statePaths } from '../../local/paths.ts';
import { up } from '../../local/up.ts';
import { isAlive } from '../instance/processes.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Folder of the local cloud that the end-to-end tests share; it lies beside the person's own. */
    readonly cloudFolder: string;
  }
}

const CLOUDS = join(projectRoot, '.runctl', 'test');

/**
 * One local cloud for all end-to-end tests of this process. With RUNCTL_AGENT_COMMAND=<program> another agent takes the imitation's place, so that one
 * built from the vendor's source can judge the runner.
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
  return () => remove(folder);
}

/** Clouds of test runs that were killed. */
async function removeLeftovers(): Promise<void> {
  mkdirSync(CLOUDS, { recursive: true });
  for (const name of readdirSync(CLOUDS)) {
    if (/^\d+$/.test(name) && !isAlive(Number(name))) await remove(join(CLOUDS, name));
  }
}

async function remove(folder: string): Promise<void> {
  await down(statePaths(folder), { purge: false });
  rmSync(folder, { recursive: true, force: true });
}
