import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const SHORTEST_PAUSE_MS = 30;
const LONGEST_PAUSE_MS = 100;

/**
 * Polls until the result is not null, and the less often the longer it takes: each poll is a request to the emulator, or a
 * process of the runner, and the tests that wait would leave no processor to those that work.
 * @throws after `seconds`
 */
export async function waitFor<T>(ask: () => Promise<T | null> | T | null, seconds = 60): Promise<T> {
  const began = performance.now();
  const deadline = began + seconds * 1000;
  for (;;) {
    const found = await ask();
    if (found !== null) return found;
    if (performance.now() > deadline) throw new Error(`not within ${seconds} s`);
    await sleep(Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, (performance.now() - began) / 10)));
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
