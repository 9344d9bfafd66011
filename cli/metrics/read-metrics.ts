import type { AttemptsParser } from '../../core/metrics/attempts-parser.ts';
import type { Point } from '../../core/metrics/point.ts';
import { type RetryNotes, retryUntilReachable } from '../account/retry.ts';
import type { AttemptsLog } from '../logs/attempts-log.ts';

/** Called with the points of each piece of log. */
export type OnPoints = (points: readonly Point[]) => void;

/** Reads what a log in CloudWatch has after what has been read. @returns whether there was anything */
export async function readNewMetrics(
  log: Pick<AttemptsLog, 'next' | 'attempt'>,
  parser: Pick<AttemptsParser, 'push'>,
  onPoints: OnPoints,
  { notes, signal }: { readonly notes: RetryNotes; readonly signal: AbortSignal },
): Promise<boolean> {
  for (let any = false; ; ) {
    const { messages, atEnd } = await retryUntilReachable(() => log.next(signal), notes, signal);
    for (const { text } of messages) onPoints(parser.push(Buffer.from(text), log.attempt));
    any ||= messages.length > 0;
    if (atEnd) return any;
  }
}
