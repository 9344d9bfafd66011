import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { basename, join } from 'node:path';
import { LocalError } from '../cloud/errors.ts';
import type { StatePaths } from '../cloud/paths.ts';
import { variables } from './status.ts';

const HINT = '(runctl local) ';
/** The terminal also sends these signals to the shell, which handles them. */
const FROM_TERMINAL = ['SIGINT', 'SIGQUIT'] as const;

/**
 * Runs the person's shell, or one command, with the environment that connects AWS clients to the
 * local cloud. Returns when it ends.
 * @returns its exit code; 128 plus the signal's number if a signal ended it
 * @throws LocalError if the cloud is not running or the program does not exist
 */
export async function runShell(paths: StatePaths, command: readonly string[]): Promise<number> {
  const { set, unset } = await variables(paths);
  const env: NodeJS.ProcessEnv = { ...process.env, ...set };
  for (const name of unset) delete env[name];
  const [program = '', ...args] = command.length > 0 ? command : await shellWith(env, paths);
  const child = spawn(program, args, { env, stdio: 'inherit' });
  const ignore = () => undefined;
  for (const name of FROM_TERMINAL) process.on(name, ignore);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', (error) =>
        reject(
          new LocalError(
            `${program} could not be started: ${error.message}`,
            'Set SHELL to your shell, or give a command.',
          ),
        ),
      );
      child.once('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL']));
    });
  } finally {
    for (const name of FROM_TERMINAL) process.off(name, ignore);
  }
}

/** The person's shell, with a hint in its prompt. */
async function shellWith(env: NodeJS.ProcessEnv, paths: StatePaths): Promise<string[]> {
  const shell = env.SHELL || '/bin/sh';
  console.error('This shell uses the local cloud. Type exit to leave it.');
  if (basename(shell) !== 'bash') {
    env.PS1 = `${HINT}$ `;
    return [shell];
  }
  // bash sets its prompt from ~/.bashrc and ignores PS1 in the environment.
  const file = join(paths.local, 'bashrc');
  await writeFile(file, `[ -f ~/.bashrc ] && . ~/.bashrc\nPS1='${HINT}'"$PS1"\n`);
  return [shell, '--rcfile', file];
}
