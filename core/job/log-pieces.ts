import { createHash } from 'node:crypto';
import { logPieceKey } from '../names.ts';
import { type JobStatus, UnreadableAnswer } from '../protocol/messages.ts';
import type { JobInput, JobStep } from '../workflow/data.ts';
import { cursorOf, unpackLog } from './follow-job.ts';

/**
 * Raw bytes of a piece: sending it to CloudWatch takes about as long, 2 s, as fetching the next one meanwhile; and a function of 512 MiB holds two, as
 * bytes and as text.
 */
export const PIECE_BYTES = 12_000_000;
/** An answer carries about 90 KB of a training's log; with more than a few of those waiting, a piece is sooner there. */
const BACKLOG = 500_000;

/** Objects that carry log from the instance to the function, where an SSM answer is too small. */
export interface LogPieces {
  /** A URL that takes one PUT to `key`. */
  presignPut(key: string): Promise<string>;
  /** @throws RunError `ServiceUnavailable`, `AccessDenied` */
  read(key: string): Promise<Uint8Array>;
}

export function wantsPiece(step: JobStep | null): boolean {
  return step !== null && step.backlog > BACKLOG;
}

/**
 * The log bytes that the instance has PUT, or null when they are in the answer.
 * @throws UnreadableAnswer when what lies there is not what the answer speaks of
 */
export async function readPiece(pieces: LogPieces, status: JobStatus, input: JobInput): Promise<Uint8Array | null> {
  // A run keeps the runner that it began with: an older one says nothing of it.
  if (!status.log.put) return null;
  const gzip = await pieces.read(logPieceKey(input.run.id, status.job, cursorOf(input.step).offset));
  const found = createHash('sha256').update(gzip).digest('hex');
  if (found !== status.log.put) throw new UnreadableAnswer('the piece of log in S3 is not the one that was sent');
  return unpackLog(gzip, status);
}
