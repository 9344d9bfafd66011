import { execFile, spawn } from 'node:child_process';
import { close, constants, open } from 'node:fs';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { signalQuietly } from '../cloud/processes.ts';

const runProgram = promisify(execFile);
// File descriptors, not FileHandles: garbage collection of a FileHandle closes its descriptor.
const openFile = promisify(open);
const closeFile = promisify(close);

export interface ScriptEnd {
  /** Exit code of the shell; -1 if a signal ended it, as in Go. */
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
  readonly ended: 'exit' | 'time-out' | 'cancel';
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

export interface Script {
  /** A folder for this script alone; the script is written into it. */
  readonly folder: string;
  readonly lines: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/**
 * Runs a script as the agent does: `sh -c <path>` in a new process group, stdin /dev/null. It has ended
 * when the shell has exited and both streams are closed. The time-out and `cancel` kill the group, and
 * the streams are not awaited then.
 * @throws if the shell cannot be started (a missing cwd)
 */
export async function runScript(script: Script, cancel: AbortSignal): Promise<ScriptEnd> {
  await mkdir(script.folder, { recursive: true });
  const path = join(script.folder, '_script.sh');
  await writeFile(path, `${script.lines.join('\n')}\n`, { mode: 0o700 });
  // Node's own error for a missing folder names the shell.
  await stat(script.cwd).catch(() => {
    throw new Error(`chdir ${script.cwd}: no such file or directory`);
  });
  const [stdout, stderr] = await makePipes(script.folder);
  try {
    // Quoted, unlike in the agent: the path of the project may contain a space.
    const child = spawn('sh', ['-c', `'${path.replaceAll("'", "'\\''")}'`], {
      cwd: script.cwd,
      env: script.env,
      detached: true,
      stdio: ['ignore', stdout.writeEnd, stderr.writeEnd],
    });
    const exited = new Promise<{ code: number; signal: NodeJS.Signals | null }>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve({ code: code ?? -1, signal }));
    });
    exited.catch(() => {}); // awaited below; until then a failed start must not be an unhandled rejection
    await Promise.all([closeFile(stdout.writeEnd), closeFile(stderr.writeEnd)]);
    const finished = Promise.all([exited, stdout.ended, stderr.ended]).then(([exit]) => exit);
    const interrupted = interruption(script.timeoutMs, cancel);
    const first = await Promise.race([finished, interrupted.happened]).finally(interrupted.dispose);
    if (typeof first === 'string') {
      if (child.pid !== undefined) signalQuietly(-child.pid, 'SIGKILL');
      return { code: 137, signal: null, ended: first, stdout: stdout.bytes(), stderr: stderr.bytes() };
    }
    return { ...first, ended: 'exit', stdout: stdout.bytes(), stderr: stderr.bytes() };
  } finally {
    stdout.destroy();
    stderr.destroy();
  }
}

interface Pipe {
  readonly writeEnd: number;
  readonly ended: Promise<void>;
  bytes(): Buffer;
  destroy(): void;
}

/**
 * Creates real pipes, as the agent does. Node's `pipe` streams are sockets, and a script that writes to
 * /dev/stderr cannot open a socket.
 */
async function makePipes(folder: string): Promise<[Pipe, Pipe]> {
  const names = [join(folder, 'stdout.pipe'), join(folder, 'stderr.pipe')] as const;
  await Promise.all(names.map((name) => rm(name, { force: true })));
  await runProgram('mkfifo', [...names]);
  const pipes: [Pipe, Pipe] = [await openPipe(names[0]), await openPipe(names[1])];
  await Promise.all(names.map((name) => rm(name)));
  return pipes;
}

async function openPipe(name: string): Promise<Pipe> {
  // The read end is opened first, without blocking, so that the write end opens at once.
  const readEnd = await openFile(name, constants.O_RDONLY | constants.O_NONBLOCK);
  const writeEnd = await openFile(name, constants.O_WRONLY);
  const socket = new Socket({ fd: readEnd, readable: true, writable: false });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<void>((resolve, reject) => {
    socket.once('close', () => resolve());
    socket.once('error', reject);
  });
  ended.catch(() => {}); // runScript awaits it, except after a time-out
  return { writeEnd, ended, bytes: () => Buffer.concat(chunks), destroy: () => socket.destroy() };
}

/** Resolves with the first event that interrupts a script. */
function interruption(timeoutMs: number, cancel: AbortSignal) {
  let dispose = () => {};
  const happened = new Promise<'time-out' | 'cancel'>((resolve) => {
    const timer = setTimeout(() => resolve('time-out'), timeoutMs);
    const onCancel = () => resolve('cancel');
    cancel.addEventListener('abort', onCancel, { once: true });
    if (cancel.aborted) onCancel();
    dispose = () => {
      clearTimeout(timer);
      cancel.removeEventListener('abort', onCancel);
    };
  });
  return { happened, dispose: () => dispose() };
}
