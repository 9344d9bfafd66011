import { setTimeout } from 'node:timers/promises';
import { isTransient } from '../../aws/errors.ts';
import { formatDuration } from '../../core/units.ts';
import { toReadable } from './aws-errors.ts';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 10_000;

/** What is told about a call that is tried again: that it failed, once, and that it works again. */
export interface RetryNotes {
  failed(error: unknown): void;
  recovered(seconds: number): void;
}

export function retryNotes(print: (line: string) => void): RetryNotes {
  return {
    failed: (error) => print(`AWS does not answer (${messageOf(error)}); the run goes on. Trying again ...`),
    recovered: (seconds) => print(`AWS answers again, after ${formatDuration(seconds)}; nothing was missed.`),
  };
}

/** Reads until it works: for what changes nothing. Any error that a moment does not mend is thrown at once. */
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
