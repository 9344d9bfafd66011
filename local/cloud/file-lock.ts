import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { findPython } from '../tools/python.ts';
import { LocalError } from './errors.ts';

// Node has no flock(2), and lock files outlive who made them. A small Python child holds the kernel's lock for as long as
// its stdin is open: when we die, however we die, the pipe closes, the child ends and the lock is free.
const holder = `
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
try:
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("waiting", flush=True)
    fcntl.flock(fd, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()`;

/**
 * Runs `work` while holding an exclusive lock on the file `path`, which is made when it is not there.
 * Waits for whoever holds it; `onWait` is called once if so, and `signal` ends the wait.
 */
export async function withFileLock<T>(
  path: string,
  onWait: () => void,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted();
  await mkdir(dirname(path), { recursive: true });
  const python = await findPython();
  const child = spawn(python.path, ['-I', '-c', holder, path], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // Its own group: Ctrl-C at a terminal must not free the lock while we still clean up.
    detached: true,
  });
  const stopWaiting = () => child.kill();
  signal?.addEventListener('abort', stopWaiting, { once: true });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve()); // it never started: there is no close to wait for
  });
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) =>
        reject(
          new LocalError(
            `The lock ${path} could not be taken (exit ${code}).`,
            'Check that the folder can be written.',
          ),
        ),
      );
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line === 'locked') resolve();
        else onWait();
      });
    });
    // From here on the work itself hears the signal, and the lock stays until it has cleaned up.
    signal?.removeEventListener('abort', stopWaiting);
    return await work();
  } finally {
    child.stdin.end();
    await ended;
  }
}
