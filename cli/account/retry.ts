import { setTimeout } from 'node:timers/promises';
import { isTransient } from '../../aws/errors.ts';
import { formatDuration } from '../../core/units.ts';
import { toReadable } from './aws-errors.ts';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 10_000;

/** Reports that a repeated call failed (once), and that it works again. */
export interface RetryNotes {
  failed(error: unknown): void;
  recovered(seconds: number): void;
}

export function retryNotes(print: (line: string) => void): RetryNotes {
  return {
    failed: (error) => print(`AWS does not answer (${messageOf(error)}). The run continues; trying again ...`),
    recovered: (seconds) => print(`AWS answers again after ${formatDuration(seconds)}; nothing was missed.`),
  };
}

/** Repeats a read until it succeeds. Throws an error that waiting cannot resolve at once. */
export async function retryUntilReachable<T>(
  read: () => Promise<T>,
  notes: RetryNotes,
  signal: AbortSignal,
): Promise<T> {
  let failedAt: number | null = null;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
    try {
      const result = await read();
      if (failedAt !== null) notes.recovered((performance.now() - failedAt) / 1_000);
      return result;
    } catch (error) {
      if (signal.aborted || !isTransient(error)) throw error;
      if (failedAt === null) notes.failed(error);
      failedAt ??= performance.now();
    }
    await setTimeout(pause, undefined, { signal });
  }
}

function messageOf(error: unknown): string {
  const readable = toReadable(error);
  return readable instanceof Error ? readable.message || readable.name : String(readable);
}
