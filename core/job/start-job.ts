import type { JobName } from '../names.ts';
import type { JobWork, StartRequest } from '../protocol/messages.ts';
import type { JobInput, JobSnapshot } from '../workflow/data.ts';
import { accept } from './instance-commands.ts';
import { attemptOf, type JobPorts, jobRequestBase } from './job-status.ts';
import { ANSWER_BYTES, maxLogBytesToRequest } from './log-chunks.ts';
import { shipLog } from './ship-log.ts';
import { cursorOf } from './snapshot.ts';

/** A start that reaches the instance later than this many seconds after it was sent is refused there. */
const START_WITHIN_S = 180;
/** How long the instance waits for a short job before it answers, so that small work costs one round trip. */
const WAIT_FOR_SHORT_JOB_S = { sync: 8, install: 8, restore: 8, train: 0 } as const;

/** Starts a job, or reads its status when it has been started before; ships the first of its log. */
export async function startJob(
  ports: JobPorts,
  input: JobInput,
  start: {
    job: JobName;
    work: JobWork;
    ended?: readonly string[];
    queue?: StartRequest['queue'];
    shutdown?: StartRequest['shutdown'];
    /** Start a job that was interrupted again, once. */
    again?: boolean;
  },
): Promise<JobSnapshot> {
  const request: StartRequest = {
    ...jobRequestBase(input),
    verb: 'start',
    job: start.job,
    ...attemptOf(input.run),
    notAfter: Math.floor(ports.now() / 1000) + START_WITHIN_S,
    wait: WAIT_FOR_SHORT_JOB_S[start.job],
    ended: start.ended ?? [],
    queue: start.queue ?? null,
    ...(start.shutdown ? { shutdown: start.shutdown } : {}),
    again: start.again ?? false,
    imds: input.instance.imds ?? false, // A run that an older version began has none.
    offset: cursorOf(input.step).offset,
    maxBytes: maxLogBytesToRequest(input.step, ANSWER_BYTES),
    ...start.work,
  };
  const began = ports.now();
  const status = accept('start', await ports.commands.ask(input.instance.id, input.run.program, request));
  const step = start.again && input.step ? { ...input.step, again: true } : input.step;
  return shipLog(ports, { ...input, step }, status, began);
}
