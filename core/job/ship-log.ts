import { RunError } from '../errors.ts';
import { logStream } from '../names.ts';
import type { JobStatus } from '../protocol/answers.ts';
import { UnreadableAnswer } from '../protocol/read-answer.ts';
import type { JobInput, JobSnapshot, StepContext } from '../workflow/data.ts';
import { type JobPorts, requestJobStatus } from './job-status.ts';
import { needsChunk, readLog } from './log-chunks.ts';
import { type LogStore, openAttempt } from './shipping-attempt.ts';
import { type Answer, advance, cursorOf } from './snapshot.ts';

/**
 * So long after a visit of a state began, ms, its run may have been stopped: stop-run waits no longer for a poll before it sends the rest of
 * the log. No further chunk is requested then, and a late answer is sent only when the run has not ended.
 */
export const VISIT_MS = 12_000;

/** Answers of a job, oldest first. Each `next` gets the snapshot so far, and may be called before its log has been sent. */
export type Answers = AsyncGenerator<Answer, void, JobSnapshot>;

/**
 * Sends the log of an answer to CloudWatch, and of further answers while much of it waits, for as long as one visit of a state may last.
 * @param began when the visit began, epoch ms
 * @throws RunError `AgentSilent` for an answer whose log cannot be read: nothing has been sent then; whatever the log store throws
 */
export async function shipLog(
  ports: JobPorts,
  input: JobInput,
  status: JobStatus,
  began: number,
): Promise<JobSnapshot> {
  let first: Answer;
  try {
    first = await readAnswer(ports, input, status);
  } catch (error) {
    if (!(error instanceof UnreadableAnswer)) throw error;
    throw new RunError('AgentSilent', `${input.instance.id}: ${error.message}`);
  }
  return shipAnswers(ports.logs, requestAnswers(ports, input, first, began), input.step, {
    runId: input.run.id,
    attempt: input.run.attempt,
    context: input.context,
    maxLogBytes: input.spec.maxLogBytes,
    isStillRunning: async () => ports.now() < began + VISIT_MS || !(await ports.hasEnded(input.run.arn)),
  });
}

/** Ends when little waits, when the time is up, or when the instance or S3 gives nothing usable: the next visit requests that again. */
async function* requestAnswers(ports: JobPorts, input: JobInput, first: Answer, began: number): Answers {
  const deadline = began + VISIT_MS;
  let requestedAt = began;
  let snapshot = yield first;
  for (;;) {
    // The chunk that is being sent now, and then the next one: each may take as long as the last.
    const now = ports.now();
    const isTime = now + 2 * (now - requestedAt) < deadline;
    requestedAt = now;
    if (!ports.chunks || !isTime || !needsChunk(snapshot)) return;
    const answer = await tryNextAnswer(ports, { ...input, step: snapshot }, first.status);
    if (answer === null || ports.now() >= deadline) return;
    snapshot = yield answer;
  }
}

async function tryNextAnswer(ports: JobPorts, input: JobInput, { job }: JobStatus): Promise<Answer | null> {
  try {
    const status = await requestJobStatus(ports, input, job);
    // What came in the answer itself is little: the next visit reads it.
    return status.log.put ? await readAnswer(ports, input, status) : null;
  } catch {
    return null; // The next visit requests it again, and reports what is wrong.
  }
}

async function readAnswer({ chunks }: JobPorts, { run, step }: JobInput, status: JobStatus): Promise<Answer> {
  const request = { runId: run.id, job: status.job, attempt: run.attempt, offset: cursorOf(step).offset };
  return { status, chunk: await readLog(chunks, status, request) };
}

interface ShippingOptions {
  readonly runId: string;
  readonly attempt?: number | undefined;
  readonly context: StepContext;
  /** Bytes of a job's log that CloudWatch gets. */
  readonly maxLogBytes: number;
  /** Whether log may still be sent. */
  readonly isStillRunning: () => Promise<boolean>;
}

/** Sends the log of each answer while the next one is on its way. */
export async function shipAnswers(
  logs: LogStore,
  answers: Answers,
  previous: JobSnapshot | null,
  { runId, attempt: number, context, maxLogBytes, isStillRunning }: ShippingOptions,
): Promise<JobSnapshot> {
  const first = await answers.next();
  if (first.done) throw new Error('there is no answer to read');
  const stream = logStream(runId, first.value.status.job, number);
  const hasLog = first.value.chunk.length > 0;
  const attempt = await openAttempt(logs, stream, cursorOf(previous), context, hasLog);
  const isSent = !hasLog || (await isStillRunning());
  let answer = isSent ? first.value : { ...first.value, chunk: new Uint8Array() };
  for (let state = { snapshot: previous, attempt }; ; ) {
    const { messages, ...next } = advance(state.snapshot, answer, state.attempt, maxLogBytes);
    if (answer.chunk.length === 0) return next.snapshot;
    // Requested before this log is sent: both take seconds.
    const further = answers.next(next.snapshot);
    if (messages.length > 0) await logs.put(stream, messages, attempt.time);
    const { done, value } = await further;
    if (done) return next.snapshot;
    answer = value;
    state = next;
  }
}
