import { readLog } from '../../../core/job/log-chunks.ts';
import { type Answers, shipAnswers } from '../../../core/job/ship-log.ts';
import type { Answer } from '../../../core/job/snapshot.ts';
import type { JobStatus } from '../../../core/protocol/answers.ts';
import type { JobSnapshot, StepContext } from '../../../core/workflow/data.ts';
import type { FakeLogStore } from './log-store.ts';

/** Ships the log of one answer, and of the answers that `next` returns. */
export async function shipAnswer(
  status: JobStatus,
  previous: JobSnapshot | null,
  options: {
    readonly logs: FakeLogStore;
    readonly context: StepContext;
    readonly maxLogBytes: number;
    /** Raw bytes of log that were fetched from S3. */
    readonly chunk?: Uint8Array;
    readonly next?: (snapshot: JobSnapshot) => Answer | null;
  },
): Promise<JobSnapshot> {
  const { logs, context, maxLogBytes, next } = options;
  const chunk = options.chunk ?? (await readLog(null, status, { runId: 'demo-1', job: status.job, offset: 0 }));
  async function* answers(): Answers {
    for (let answer: Answer | null = { status, chunk }; answer !== null; ) {
      const snapshot: JobSnapshot = yield answer;
      answer = next?.(snapshot) ?? null;
    }
  }
  const isStillRunning = () => Promise.resolve(true);
  return shipAnswers(logs, answers(), previous, { runId: 'demo-1', context, maxLogBytes, isStillRunning });
}
