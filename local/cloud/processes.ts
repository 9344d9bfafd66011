import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { LocalError } from './errors.ts';
import type { ProcessRef } from './state.ts';

export interface Background {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly logFile: string;
}

/** Starts a process that keeps running after this one, in a new process group, its streams in a log file. */
export async function startBackground({ program, args, env, cwd, logFile }: Background): Promise<ProcessRef> {
  await mkdir(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a');
  try {
    const child = spawn(program, args, { env, cwd, detached: true, stdio: ['ignore', log, log] });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) =>
        reject(
          new LocalError(
            `${program} could not be started: ${error.message}`,
            'Run `npm ci`, then `runctl local up` again.',
          ),
        ),
      );
    });
    child.unref();
    const pid = child.pid ?? 0;
    return { pid, startTime: (await startTimeOf(pid)) ?? 'ended' };
  } finally {
    closeSync(log);
  }
}

/** True while this process runs: same pid, same start time, not a zombie. */
export async function isAlive(ref: ProcessRef): Promise<boolean> {
  return (await startTimeOf(ref.pid)) === ref.startTime;
}

/** Start time of a running process in clock ticks since boot; undefined if it does not exist or is a zombie. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name, in brackets, may contain any character; the first field after it is the state.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined; // no such process
  }
}

/** Sends SIGTERM to the process's group, waits at most `graceMs`, then sends SIGKILL. */
export async function endGroup(ref: ProcessRef, graceMs: number): Promise<void> {
  if (!(await isAlive(ref))) return;
  signalQuietly(-ref.pid, 'SIGTERM');
  const deadline = Date.now() + graceMs;
  while (Date.now() < deadline && (await isAlive(ref))) await new Promise((resolve) => setTimeout(resolve, 25));
  signalQuietly(-ref.pid, 'SIGKILL');
}

/**
 * Sends SIGKILL to every process, except this one, with an environment entry that `matches`, and
 * repeats until none is left, since a process may fork meanwhile. Linux only.
 * @returns the number of processes
 * @throws LocalError if some do not end
 */
export async function killMarked(matches: (entry: string) => boolean): Promise<number> {
  const killed = new Set<number>();
  for (let round = 0; round < 100; round += 1) {
    const pids = await markedProcesses(matches);
    if (pids.length === 0) return killed.size;
    for (const pid of pids) {
      killed.add(pid);
      signalQuietly(pid, 'SIGKILL');
    }
    await new Promise((resolve) => setTimeout(resolve, 20)); // killed processes stay in /proc for a moment
  }
  const left = await markedProcesses(matches);
  throw new LocalError(`The processes ${left.join(', ')} could not be killed.`, `Show them: ps -fp ${left.join(',')}`);
}

/** The running processes, except this one, with an environment entry that `matches`. */
export async function markedProcesses(matches: (entry: string) => boolean): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      if (pid === process.pid) return undefined;
      return (await environmentOf(pid)).some(matches) ? pid : undefined;
    }),
  );
  return found.filter((pid) => pid !== undefined);
}

async function environmentOf(pid: number): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
  } catch {
    return []; // has ended, or belongs to another user: not a process of this cloud
  }
}

/** Sends a signal to a process, or to a group (negative pid). Ignores one that has ended. */
export function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** The last lines of a log file, for an error message. */
export async function tailOf(logFile: string, lines = 12): Promise<string> {
  const text = await readFile(logFile, 'utf8').catch(() => `(no ${basename(logFile)})`);
  return text
    .trimEnd()
    .split('\n')
    .slice(-lines)
    .map((line) => `  ${line}`)
    .join('\n');
}
