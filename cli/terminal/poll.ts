import { setTimeout } from 'node:timers/promises';

/**
 * Repeats `step` until it returns a value. A step begins `everyMs` after the one before began, or when that one has ended.
 * @param step undefined: not yet
 * @throws what the step throws; AbortError when the signal aborts the wait
 */
export async function pollUntil<T>(
  everyMs: number,
  step: () => Promise<T | undefined>,
  signal: AbortSignal,
): Promise<T> {
  for (;;) {
    const began = performance.now();
    const value = await step();
    if (value !== undefined) return value;
    await setTimeout(Math.max(0, began + everyMs - performance.now()), undefined, { signal });
  }
}
