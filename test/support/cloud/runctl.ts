import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { inject } from 'vitest';
import { clientVariables } from '../../../local/cloud/environment.ts';
import { projectRoot, statePaths } from '../../../local/cloud/paths.ts';
import { readState } from '../../../local/cloud/state.ts';

export const COMMAND = join(projectRoot, 'bin', 'runctl.js');

export interface CommandEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment of a shell after `eval "$(runctl local env)"`; default: of the shared cloud. */
export async function shellEnvironment(folder = inject('cloudFolder')): Promise<Record<string, string>> {
  const state = await readState(statePaths(folder));
  if (!state) throw new Error(`there is no local cloud in ${folder}`);
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME, ...clientVariables(state), AWS_EC2_METADATA_DISABLED: 'true' };
}

/** A project folder with these files. It is removed with the shared cloud. */
export function projectFolder(project: string, files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(inject('cloudFolder'), 'folder-'));
  for (const [name, content] of Object.entries({ 'runctl.yaml': `project: ${project}\n`, ...files }))
    writeFileSync(join(folder, name), content);
  return folder;
}

/** Runs the `runctl` command in a folder, without a terminal. */
export async function runctl(
  folder: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<CommandEnd> {
  const child = spawn(process.execPath, [COMMAND, ...args], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [code, stdout, stderr] = await Promise.all([
    new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject)),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}
