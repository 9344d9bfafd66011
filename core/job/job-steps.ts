import { RunError } from '../errors.ts';
import { type JobName, logPieceKey } from '../names.ts';
import {
  type JobStatus,
  type JobWork,
  type PollRequest,
  type StartRequest,
  UnreadableAnswer,
} from '../protocol/messages.ts';
import type { JobInput, JobStep } from '../workflow/data.ts';
import { type Answer, bytesWanted, cursorOf, followJob, LOG_CHUNK_BYTES } from './follow-job.ts';
import { accept, type DocumentName, type InstanceCommands, requestBase } from './instance-commands.ts';
import { type LogPieces, PIECE_BYTES, readPiece, wantsPiece } from './log-pieces.ts';
import type { LogStore } from './log-visit.ts';

/** A start that reaches the instance later than this many seconds after it was sent is refused there. */
const START_WITHIN = 180;
/** How long the instance waits for a short job before it answers, so that small work costs one round trip. */
const WAIT_FOR_SHORT_JOB = { sync: 8, install: 8, train: 0 } as const;

/**
 * So long after a visit of a state began, ms, its run may have been stopped: stop-run waits for no look longer before it sends the rest of the log. So no
 * further piece is taken up then, and an answer that comes later is sent only when the run has not ended.
 */
export const VISIT_MS = 12_000;

export interface JobPorts {
  readonly commands: InstanceCommands;
  readonly logs: LogStore;
  /** Carries what is too much for answers; null for steps that need only the first of a log. */
  readonly pieces: LogPieces | null;
  /** Whether a run's execution is over. */
  readonly hasEnded: (executionArn: string) => Promise<boolean>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** Starts a job, or learns how it stands when it has been started before; ships the first of its log. */
export async function startJob(
  ports: JobPorts,
  input: JobInput,
  start: {
    job: JobName;
    document: DocumentName;
    work: JobWork;
    ended?: readonly string[];
    queue?: StartRequest['queue'];
  },
): Promise<JobStep> {
  const request: StartRequest = {
    ...base(input),
    verb: 'start',
    job: start.job,
    notAfter: Math.floor(ports.now() / 1000) + START_WITHIN,
    wait: WAIT_FOR_SHORT_JOB[start.job],
    ended: start.ended ?? [],
    queue: start.queue ?? null,
    offset: cursorOf(input.step).offset,
    maxBytes: bytesWanted(input.step, LOG_CHUNK_BYTES),
    ...start.work,
  };
  const began = ports.now();
  const status = accept<JobStatus>(await ports.commands.ask(input.instance.id, start.document, request));
  return follow(ports, input, status, began);
}

/** Asks how a job stands, and ships what its log has gained. */
export async function pollJob(ports: JobPorts, input: JobInput, job: JobName): Promise<JobStep> {
  const began = ports.now();
  return follow(ports, input, await askJob(ports, input, job), began);
}

/** Asks how a job stands. */
export async function askJob(ports: JobPorts, input: JobInput, job: JobName): Promise<JobStatus> {
  const { offset } = cursorOf(input.step);
  const { pieces } = ports;
  const put = pieces && wantsPiece(input.step) ? await pieces.presignPut(logPieceKey(input.run.id, job, offset)) : null;
  const maxBytes = bytesWanted(input.step, put === null ? LOG_CHUNK_BYTES : PIECE_BYTES);
  const request: PollRequest = {
    ...base(input),
    verb: 'poll',
    job,
    offset,
    maxBytes,
    ...(put === null ? {} : { put }),
  };
  return accept<JobStatus>(await ports.commands.ask(input.instance.id, 'job', request));
}

function base({ run, instance, spec }: JobInput) {
  return requestBase({ run, instance, project: spec.project, user: spec.user });
}

/**
 * Ships the log of an answer, and goes on with what waits behind it, for as long as one visit of a state may last.
 * @param began when the visit began, epoch ms
 * @throws RunError `AgentSilent` for an answer whose log cannot be read: nothing has been shipped then; whatever the log store throws
 */
export async function follow(ports: JobPorts, input: JobInput, status: JobStatus, began: number): Promise<JobStep> {
  const { pieces } = ports;
  const ends = began + VISIT_MS;
  let asked = began;
  const ahead = async (step: JobStep) => {
    // The piece that is being sent now, and then the next one: each may take as long as the last.
    const now = ports.now();
    const isTime = now + 2 * (now - asked) < ends;
    asked = now;
    if (!pieces || !isTime || !wantsPiece(step)) return null;
    const answer = await askAhead(ports, pieces, { ...input, step }, status.job);
    return ports.now() < ends ? answer : null;
  };
  try {
    return await followJob(status, input.step, {
      runId: input.run.id,
      context: input.context,
      logs: ports.logs,
      maxLogBytes: input.spec.maxLogBytes,
      piece: pieces && (await readPiece(pieces, status, input)),
      maySend: async () => ports.now() < ends || !(await ports.hasEnded(input.run.arn)),
      ahead,
    });
  } catch (error) {
    if (!(error instanceof UnreadableAnswer)) throw error;
    throw new RunError('AgentSilent', `${input.instance.id}: ${error.message}`);
  }
}

/** null: the instance, or S3, gave nothing that can be used. The state's next visit asks again, and tells what is wrong. */
async function askAhead(ports: JobPorts, pieces: LogPieces, input: JobInput, job: JobName): Promise<Answer | null> {
  try {
    const status = await askJob(ports, input, job);
    const chunk = await readPiece(pieces, status, input);
    return chunk && { status, chunk };
  } catch {
    return null;
  }
}
