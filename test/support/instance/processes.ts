import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Polls until the result is not null. @throws after `seconds` */
export async function waitFor<T>(ask: () => Promise<T | null> | T | null, seconds = 60): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const found = await ask();
    if (found !== null) return found;
    if (performance.now() > deadline) throw new Error(`not within ${seconds} s`);
    await sleep(30);
  }
}

/** Whether the process is running; a zombie is not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false; // no such process
  }
}

function environmentOf(pid: string): string[] {
  try {
    return isAlive(Number(pid)) ? readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0') : [];
  } catch {
    return []; // has ended, or belongs to another user
  }
}

export function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

/** The PIDs of processes with this entry in their environment. */
export function processesWith(variable: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && environmentOf(name).includes(variable))
    .map(Number);
}
