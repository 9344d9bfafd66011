import { createHash } from 'node:crypto';
import { mkdir, realpath } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { LocalError } from './errors.ts';

/** Pause between two attempts: another waiting process may have taken the lock first. */
const RETRY_MS = 20;

/**
 * Runs `work` while holding an exclusive lock on `path`; creates its folder if it is missing.
 * If another process holds the lock, calls `onWait` once and waits; `signal` ends the wait.
 *
 * The lock is a listening socket in Linux's abstract namespace: one process at a time can have the
 * name, and the kernel frees it however that process ends. Other systems have no such namespace and
 * no local cloud; there, work runs without a lock.
 */
export async function withLock<T>(
  path: string,
  onWait: () => void,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  if (process.platform !== 'linux') return await work();
  const release = await takeLock(await socketName(path), onWait, signal);
  try {
    return await work();
  } finally {
    await release();
  }
}

/** The same for every spelling of the path. */
async function socketName(path: string): Promise<string> {
  const resolved = join(await realpath(dirname(path)), basename(path));
  return `\0runctl-lock-${createHash('sha256').update(resolved).digest('hex')}`;
}

async function takeLock(name: string, onWait: () => void, signal?: AbortSignal): Promise<() => Promise<void>> {
  let isWaiting = false;
  for (;;) {
    if (signal?.aborted)
      throw new LocalError(
        'Interrupted while waiting for another process to release the lock.',
        'Run the command again when that process has ended.',
      );
    const release = await tryLock(name);
    if (release !== undefined) return release;
    if (!isWaiting) onWait();
    isWaiting = true;
    await waitForHolder(name, signal);
    await setTimeout(RETRY_MS);
  }
}

/** @returns a function that frees the lock; undefined if another process holds it */
async function tryLock(name: string): Promise<(() => Promise<void>) | undefined> {
  const waiting = new Set<Socket>();
  const server = createServer((socket) => {
    waiting.add(socket.unref().on('error', () => socket.destroy()));
  }).unref();
  if (!(await tryListen(server, name))) return undefined;
  return async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of waiting) socket.destroy();
    await closed;
  };
}

async function tryListen(server: Server, name: string): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    server.once('listening', () => resolve(true));
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(name);
  });
}

/** Waits until the process that holds the lock frees it or ends, which closes a connection to it. */
async function waitForHolder(name: string, signal?: AbortSignal): Promise<void> {
  const socket = connect(name);
  const stop = () => socket.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  try {
    await new Promise<void>((resolve) => {
      socket.on('error', () => undefined); // the holder has ended: the socket closes
      socket.once('close', () => resolve());
      socket.resume();
    });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
