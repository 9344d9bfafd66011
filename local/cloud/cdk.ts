import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { cdkProgram, QUIET_CDK } from '../../cli/deploy/installation.ts';
import type { Report } from '../tools/python-tools.ts';
import type { CloudAccess } from './credentials.ts';
import { cloudEnvironment } from './environment.ts';
import { LocalError } from './errors.ts';
import type { StatePaths } from './paths.ts';
import { signalQuietly, tailOf } from './processes.ts';

export function cdkLog(paths: StatePaths): string {
  return join(paths.logs, 'cdk.log');
}

/** HOME for the CDK, which stores fingerprints of assets there even if CDK_HOME is set. */
export function cdkHome(paths: StatePaths): string {
  return join(paths.cache, 'home');
}

/** Where and how to run the CDK CLI. */
export interface CdkRun {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/**
 * Runs the CDK CLI against the local cloud. Its output is written to the log file, and its progress
 * passed to `report`. `signal` ends it and all processes that it started.
 * @throws LocalError with the log's last lines if it fails
 */
export async function runCdk(
  { args, cwd, report, signal }: CdkRun,
  access: CloudAccess,
  paths: StatePaths,
): Promise<void> {
  signal.throwIfAborted();
  const logFile = cdkLog(paths);
  await mkdir(dirname(logFile), { recursive: true });
  const log = createWriteStream(logFile, { flags: 'a' });
  log.write(`\n$ cdk ${args.join(' ')}\n`);
  const child = spawn(process.execPath, [cdkProgram(), ...args, '--no-color', '--no-notices'], {
    cwd,
    env: {
      ...cloudEnvironment(access, paths),
      ...QUIET_CDK,
      CDK_HOME: join(paths.cache, 'cdk'),
      HOME: cdkHome(paths),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, so that all of it can be ended at once
  });
  const kill = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      signalQuietly(-child.pid, 'SIGKILL');
  };
  signal.addEventListener('abort', kill, { once: true });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log.write(`${line}\n`);
      const short = progressOf(line);
      if (short !== undefined) report(short);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  }).finally(() => signal.removeEventListener('abort', kill));
  await new Promise<void>((resolve) => log.end(resolve));
  signal.throwIfAborted();
  if (code !== 0) {
    throw new LocalError(
      `\`cdk ${args[0]}\` failed with exit code ${code}. The end of ${basename(logFile)}:\n${await tailOf(logFile, 20)}`,
      `The full output is in ${logFile}.`,
    );
  }
}

/** The progress that a line of the CDK CLI shows: resources that are done, headlines, and errors. */
export function progressOf(line: string): string | undefined {
  const event = /\|\s*(\d+)\/(\d+) \|/.exec(line);
  // Only every tenth resource, because each report is a line when the output is not a terminal.
  if (event)
    return Number(event[1]) % 10 === 0 && line.includes('_COMPLETE')
      ? `${event[1]} of ${event[2]} resources`
      : undefined;
  if (/FAILED|rollback|error/i.test(line)) return line.trim();
  return /(Bootstrapping|creating CloudFormation changeset|deploying\.\.\.)/.test(line) ? line.trim() : undefined;
}
