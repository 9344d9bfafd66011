import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { down } from '../../local/down.ts';
import { projectRoot, statePaths } from '../../local/paths.ts';
import { up } from '../../local/up.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Folder of the local cloud that the end-to-end tests share; it lies beside the person's own. */
    readonly cloudFolder: string;
  }
}

/**
 * One local cloud for all end-to-end tests. With RUNCTL_AGENT_COMMAND=<program> another agent takes the imitation's place, so that one built from the
 * vendor's source can judge the runner.
 */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const folder = join(projectRoot, '.runctl', 'test');
  const paths = statePaths(folder);
  await down(paths, { purge: false }); // of a test run that was killed
  console.log('Bringing up a local cloud for the end-to-end tests (first time: 30 s and more)');
  await up(paths, {
    agentCommand: process.env.RUNCTL_AGENT_COMMAND ?? null,
    deploy: 'always',
    signal: new AbortController().signal,
    output: 'progress',
  });
  project.provide('cloudFolder', folder);
  return async () => {
    await down(paths, { purge: false });
  };
}
