import type { CheckpointGrant } from '../protocol/messages.ts';
import type { JobInput } from '../workflow/data.ts';
import { dataPrefix } from './keys.ts';
import { progressOf } from './progress.ts';
import type { CheckpointStore } from './store.ts';

/** A larger file is sent in parts, several at a time: S3 takes about 90 MB/s by one connection. 10,000 parts are 640 GB. */
export const CHECKPOINT_SIZES = { wholeBytes: 128 * 1024 * 1024, partBytes: 64 * 1024 * 1024 };

/** The right to send checkpoints that a poll brings, and what has been committed so far. */
export async function checkpointGrant(store: CheckpointStore, input: JobInput): Promise<CheckpointGrant> {
  const prefix = dataPrefix(input.spec.project, input.run.id);
  return { ...(await store.grant(prefix)), prefix, committed: progressOf(input).committed, ...CHECKPOINT_SIZES };
}
