import { cursorOf, followJob, LOG_CHUNK_BYTES, type LogStore } from './follow-job.ts';
import { accept, type DocumentName, type InstanceCommands, requestBase } from './instance-commands.ts';
import type { JobStatus, JobWork, PollRequest, StartRequest } from './job-protocol.ts';
import type { JobName } from './names.ts';
import type { JobInput, JobStep } from './run-states.ts';

/** A start that reaches the instance later than this many seconds after it was sent is refused there. */
const START_WITHIN = 180;
/** How long the instance waits for a short job before it answers, so that small work costs one round trip. */
const WAIT_FOR_SHORT_JOB = { sync: 8, install: 8, train: 0 } as const;

export interface JobPorts {
  readonly commands: InstanceCommands;
  readonly logs: LogStore;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** Starts a job, or learns how it stands when it has been started before; ships the first of its log. */
export async function startJob(
  ports: JobPorts,
  input: JobInput,
  start: { job: JobName; document: DocumentName; work: JobWork; ended?: readonly string[] },
): Promise<JobStep> {
  const request: StartRequest = {
    ...base(input),
    verb: 'start',
    job: start.job,
    notAfter: Math.floor(ports.now() / 1000) + START_WITHIN,
    wait: WAIT_FOR_SHORT_JOB[start.job],
    ended: start.ended ?? [],
    offset: cursorOf(input.step).offset,
    maxBytes: LOG_CHUNK_BYTES,
    ...start.work,
  };
  const status = accept<JobStatus>(await ports.commands.ask(input.instance.id, start.document, request));
  return follow(ports, input, status);
}

/** Asks how a job stands, and ships what its log has gained. */
export async function pollJob(ports: JobPorts, input: JobInput, job: JobName): Promise<JobStep> {
  const { offset } = cursorOf(input.step);
  const request: PollRequest = { ...base(input), verb: 'poll', job, offset, maxBytes: LOG_CHUNK_BYTES };
  const status = accept<JobStatus>(await ports.commands.ask(input.instance.id, 'job', request));
  return follow(ports, input, status);
}

function base({ run, instance, spec }: JobInput) {
  return requestBase({ run, instance, project: spec.project, user: spec.user });
}

function follow(ports: JobPorts, input: JobInput, status: JobStatus): Promise<JobStep> {
  return followJob(status, input.step, { runId: input.run.id, context: input.context, logs: ports.logs });
}
