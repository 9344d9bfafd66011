import type { CheckpointGrant } from '../protocol/messages.ts';
import type { JobInput } from '../workflow/data.ts';
import { dataPrefix } from './keys.ts';
import { progressOf } from './progress.ts';
import type { CheckpointStore } from './store.ts';

/** How many bytes S3 takes in one POST, and how large a part of a larger file is. */
const SIZES = { wholeBytes: 5_000_000_000, partBytes: 256 * 1024 * 1024 };

/** The right to send checkpoints that a poll brings, and what has been committed so far. */
export async function checkpointGrant(store: CheckpointStore, input: JobInput): Promise<CheckpointGrant> {
  const prefix = dataPrefix(input.spec.project, input.run.id);
  return { ...(await store.grant(prefix)), prefix, committed: progressOf(input).committed, ...SIZES };
}
