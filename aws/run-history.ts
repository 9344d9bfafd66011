import { GetExecutionHistoryCommand, type HistoryEvent, type SFNClient } from '@aws-sdk/client-sfn';
import type { StateEvent } from '../core/workflow/history.ts';
import { withAwsErrors, withSignal } from './errors.ts';
import { timeOf, toLastingStateEvents } from './state-events.ts';

/** Enough for about ten states, so that one call nearly always returns all new events. */
const PAGE_EVENTS = 100;
const ENDED = /^Execution(Succeeded|Failed|Aborted|TimedOut)$/;

/** Reads the history of one execution as it grows, each event once. */
export class RunHistory {
  readonly #sfn: Pick<SFNClient, 'send'>;
  readonly #arn: string;
  #seen = 0;
  /** Epoch milliseconds; null until the first events have been read. */
  startedAt: number | null = null;
  /** An event says that the execution is over. */
  ended = false;

  constructor(sfn: Pick<SFNClient, 'send'>, executionArn: string) {
    this.#sfn = sfn;
    this.#arn = executionArn;
  }

  /** The events since the last call, oldest first. @throws what Step Functions answers, such as ExecutionDoesNotExist */
  async read(signal?: AbortSignal): Promise<StateEvent[]> {
    const events = await this.#newEvents(signal);
    this.#seen = events.at(-1)?.id ?? this.#seen;
    const started = events.find((event) => event.type === 'ExecutionStarted');
    if (started) this.startedAt = timeOf(started);
    this.ended ||= events.some((event) => ENDED.test(event.type ?? ''));
    return toLastingStateEvents(events);
  }

  /** Reads from the newest event back to the first known one, so that a long history is not read again. */
  async #newEvents(signal?: AbortSignal): Promise<HistoryEvent[]> {
    const found: HistoryEvent[] = [];
    let nextToken: string | undefined;
    do {
      const sent = this.#sfn.send(
        new GetExecutionHistoryCommand({
          executionArn: this.#arn,
          reverseOrder: true,
          maxResults: PAGE_EVENTS,
          ...(nextToken === undefined ? {} : { nextToken }),
        }),
        withSignal(signal),
      );
      const page = await withAwsErrors(`states:GetExecutionHistory of ${this.#arn}`, sent);
      const unknown = (page.events ?? []).filter((event) => (event.id ?? 0) > this.#seen);
      found.push(...unknown);
      nextToken = unknown.length < (page.events ?? []).length ? undefined : page.nextToken;
    } while (nextToken !== undefined);
    return found.reverse();
  }
}
