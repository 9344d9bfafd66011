import { checkpointGrant } from '../checkpoints/grant.ts';
import type { CheckpointStore } from '../checkpoints/store.ts';
import { environmentGrant } from '../environments/store-environment.ts';
import { type JobName, logChunkKey } from '../names.ts';
import type { JobStatus } from '../protocol/answers.ts';
import type { CheckpointGrant, PartsGrant, PollRequest } from '../protocol/messages.ts';
import type { JobInput } from '../workflow/data.ts';
import { accept, type InstanceCommands, requestBase } from './instance-commands.ts';
import { ANSWER_BYTES, CHUNK_BYTES, type LogChunks, maxLogBytesToRequest, needsChunk } from './log-chunks.ts';
import type { LogStore } from './shipping-attempt.ts';
import { cursorOf } from './snapshot.ts';

export interface JobPorts {
  readonly commands: InstanceCommands;
  readonly logs: LogStore;
  /** Carries what is too much for answers; null for steps that need only the first of a log. */
  readonly chunks: LogChunks | null;
  /** Where checkpoints are committed; left out by steps that do not. */
  readonly checkpoints?: CheckpointStore;
  readonly onCheckpointError?: (error: Error) => void;
  /** Whether a run's execution is over. */
  readonly hasEnded: (executionArn: string) => Promise<boolean>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** Requests the status of a job, with the log from the snapshot's cursor on, unless `withLog` is false. */
export async function requestJobStatus(
  ports: JobPorts,
  input: JobInput,
  job: JobName,
  { withLog }: { withLog: boolean } = { withLog: true },
): Promise<JobStatus> {
  const { run, instance, step } = input;
  const { offset } = cursorOf(step);
  const put =
    withLog && ports.chunks && needsChunk(step)
      ? await ports.chunks.presignPut(logChunkKey(run.id, job, offset, run.attempt))
      : null;
  const checkpoints = job === 'train' ? await grantOf(ports, input) : null;
  const environment = job === 'train' ? await environmentGrantOf(ports, input) : null;
  const request: PollRequest = {
    ...jobRequestBase(input),
    verb: 'poll',
    job,
    ...attemptOf(run),
    offset,
    maxBytes: withLog ? maxLogBytesToRequest(step, put === null ? ANSWER_BYTES : CHUNK_BYTES) : 0,
    ...(put === null ? {} : { put }),
    ...(checkpoints === null ? {} : { checkpoints }),
    ...(environment === null ? {} : { environment }),
  };
  return accept('poll', await ports.commands.ask(instance.id, run.program, request));
}

/** The right to send checkpoints. Without it they wait for the next poll, which the log does not do. */
function grantOf(ports: JobPorts, input: JobInput): Promise<CheckpointGrant | null> {
  if (!keepsCheckpoints(input)) return Promise.resolve(null);
  return tryToKeep<CheckpointGrant | null>(ports, null, (store) => checkpointGrant(store, input));
}

/** The right to store the environment of the install, while it is not stored. */
function environmentGrantOf(ports: JobPorts, input: JobInput): Promise<PartsGrant | null> {
  const environment = input.step?.environment;
  if (environment?.state !== 'pending') return Promise.resolve(null);
  return tryToKeep<PartsGrant | null>(ports, null, (store) => environmentGrant(store, input, environment));
}

/** What is kept in the bucket while a training runs: the run does not depend on it, and the next poll tries again. */
export async function tryToKeep<T>(
  { checkpoints, onCheckpointError }: JobPorts,
  before: T,
  work: (store: NonNullable<JobPorts['checkpoints']>) => Promise<T>,
): Promise<T> {
  if (!checkpoints) return before;
  try {
    return await work(checkpoints);
  } catch (error) {
    onCheckpointError?.(error as Error);
    return before;
  }
}

/** Whether the run wants its checkpoints in S3. */
export function keepsCheckpoints({ spec }: Pick<JobInput, 'spec'>): boolean {
  return (spec.checkpoints?.keep ?? 0) > 0;
}

/** A first attempt leaves it out. */
export function attemptOf({ attempt = 1 }: Pick<JobInput['run'], 'attempt'>): { attempt?: number } {
  return attempt === 1 ? {} : { attempt };
}

export function jobRequestBase({ run, instance, spec }: JobInput) {
  return requestBase({ run, instance, project: spec.project, user: spec.user });
}
