import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { type JobName, logChunkKey } from '../names.ts';
import type { JobStatus } from '../protocol/answers.ts';
import { UnreadableAnswer } from '../protocol/read-answer.ts';
import type { JobSnapshot } from '../workflow/data.ts';

/** Raw bytes requested in an answer: its own limit, 23,500 bytes compressed, is reached long before for most logs. */
export const ANSWER_BYTES = 1_000_000;
/**
 * Raw bytes of a chunk that goes through S3: sending it to CloudWatch takes about as long, 2 s, as fetching the next one meanwhile; and a
 * function of 512 MiB holds two, as bytes and as text.
 */
export const CHUNK_BYTES = 12_000_000;
/** An answer carries about 90 KB of a training's log; when several of those wait, a chunk arrives sooner. */
const BACKLOG = 500_000;

/** Objects that carry log from the instance to the function, where an SSM answer is too small. */
export interface LogChunks {
  /** A URL that takes one PUT to `key`. */
  presignPut(key: string): Promise<string>;
  /** @throws RunError `ServiceUnavailable`, `AccessDenied` */
  read(key: string): Promise<Uint8Array>;
}

/** Whether so much log waits that it should go through S3. */
export function needsChunk(snapshot: JobSnapshot | null): boolean {
  return snapshot !== null && snapshot.backlog > BACKLOG;
}

/** How many raw bytes of log to request: none once CloudWatch has maxLogBytes. */
export function maxLogBytesToRequest(snapshot: JobSnapshot | null, most: number): number {
  return snapshot?.logFull ? 0 : most;
}

/** Where the chunk is stored that was requested from this offset on. */
export interface ChunkRequest {
  readonly runId: string;
  readonly job: JobName;
  readonly attempt?: number | undefined;
  readonly offset: number;
}

/**
 * The raw log bytes of an answer: in itself, or in S3 where the instance has PUT them.
 * @throws UnreadableAnswer when the bytes are not those that the answer describes
 */
export async function readLog(chunks: LogChunks | null, status: JobStatus, request: ChunkRequest): Promise<Uint8Array> {
  // A run keeps the runner that it began with: an older one does not know `put`.
  if (!status.log.put) return status.log.bytes === 0 ? new Uint8Array() : unpackLog(decode(status), status);
  if (chunks === null) throw new UnreadableAnswer('the log is in S3, and none was requested there');
  const gzip = await chunks.read(logChunkKey(request.runId, request.job, request.offset, request.attempt));
  const sha256 = createHash('sha256').update(gzip).digest('hex');
  if (sha256 !== status.log.put) throw new UnreadableAnswer('the chunk of log in S3 is not the one that was sent');
  return unpackLog(gzip, status);
}

const decode = ({ log }: JobStatus) => Buffer.from(log.data, 'base64');

/** The raw log bytes in a gzip that belongs to an answer. @throws UnreadableAnswer */
export function unpackLog(gzip: Uint8Array, { log }: JobStatus): Uint8Array {
  let chunk: Uint8Array;
  try {
    chunk = gunzipSync(gzip);
  } catch (error) {
    const why = error instanceof Error ? error.message : '';
    throw new UnreadableAnswer(`the log in the answer cannot be unpacked: ${why}`);
  }
  if (chunk.length !== log.bytes) {
    throw new UnreadableAnswer(`the answer has ${chunk.length} of ${log.bytes} bytes of log`);
  }
  return chunk;
}
