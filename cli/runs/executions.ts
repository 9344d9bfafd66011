import {
  DescribeExecutionCommand,
  type ExecutionStatus,
  GetExecutionHistoryCommand,
  ListExecutionsCommand,
  type SFNClient,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import type { StateEvent } from '../../core/workflow/history.ts';
import { at, nameOf } from '../aws/aws-errors.ts';
import { RunHistory, stateEvents } from './history.ts';

/** Verify archive and Find instance lie within them, with some retries: 5 events a task, 3 a retry. */
const FIRST_EVENTS = 50;
/** The newest state lies within them: a task has five events, a choice two. */
const LAST_EVENTS = 20;
const PAGE = 100;

/** An execution as a list shows it. Times in epoch milliseconds. */
export interface ListedExecution {
  readonly arn: string;
  readonly name: string;
  readonly status: ExecutionStatus;
  readonly startedAt: number;
  readonly endedAt: number | null;
}

/** `input`, `output`, `cause`: JSON. */
export interface Execution extends ListedExecution {
  readonly input: string | null;
  readonly output: string | null;
  readonly error: string | null;
  readonly cause: string | null;
}

/** What Step Functions knows of runs: for 90 days after their end. Errors are a person's. */
export class Executions {
  readonly #sfn: Pick<SFNClient, 'send'>;

  constructor(sfn: Pick<SFNClient, 'send'>) {
    this.#sfn = sfn;
  }

  /**
   * The latest started first, page by page as they are asked for. Step Functions itself puts an ended one where its end was: so each is held back until
   * nothing that started later can come.
   */
  async *newest(stateMachineArn: string): AsyncGenerator<ListedExecution> {
    const held: ListedExecution[] = [];
    for await (const one of this.#listed(stateMachineArn)) {
      const place = one.endedAt ?? one.startedAt;
      while (held[0] && held[0].startedAt >= place) yield held.shift() as ListedExecution;
      held.push(one);
      held.sort((a, b) => b.startedAt - a.startedAt);
    }
    yield* held;
  }

  async *#listed(stateMachineArn: string): AsyncGenerator<ListedExecution> {
    let nextToken: string | undefined;
    do {
      const page = await at(
        `states:ListExecutions of ${stateMachineArn}`,
        this.#sfn.send(new ListExecutionsCommand({ stateMachineArn, maxResults: PAGE, nextToken })),
      );
      for (const one of page.executions ?? []) yield listed(one, one.executionArn ?? '');
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
  }

  /** null: Step Functions knows it not, or no more. */
  async describe(arn: string, signal?: AbortSignal): Promise<Execution | null> {
    const sent = this.#sfn.send(new DescribeExecutionCommand({ executionArn: arn }), withSignal(signal));
    const one = await at(`states:DescribeExecution of ${arn}`, orNull(sent));
    return (
      one && {
        ...listed(one, arn),
        input: one.input ?? null,
        output: one.output ?? null,
        error: one.error ?? null,
        cause: one.cause ?? null,
      }
    );
  }

  /** The states entered and left, oldest first; empty for an execution that is known no more. */
  async history(arn: string): Promise<StateEvent[]> {
    return (await at(`states:GetExecutionHistory of ${arn}`, orNull(new RunHistory(this.#sfn, arn).read()))) ?? [];
  }

  /** How it began: one call, however long the history. */
  async beginning(arn: string): Promise<StateEvent[]> {
    return await this.#events(arn, { maxResults: FIRST_EVENTS });
  }

  /** The state that was entered last; null before the first. */
  async lastState(arn: string): Promise<string | null> {
    const options = { maxResults: LAST_EVENTS, reverseOrder: true, includeExecutionData: false };
    const events = await this.#events(arn, options);
    return events.find(({ kind }) => kind === 'entered')?.state ?? null;
  }

  /** What a state gave when it was left last: JSON. Reads from the end, so that a long history costs no more. */
  async lastOutput(arn: string, state: string): Promise<string | null> {
    const events = await this.#events(arn, { maxResults: PAGE, reverseOrder: true });
    return events.find((event) => event.kind === 'exited' && event.state === state)?.output ?? null;
  }

  async stop(arn: string, cause: string): Promise<void> {
    const command = new StopExecutionCommand({ executionArn: arn, error: 'RunStopped', cause });
    await at(`states:StopExecution of ${arn}`, this.#sfn.send(command));
  }

  async #events(
    executionArn: string,
    options: { maxResults: number; reverseOrder?: boolean; includeExecutionData?: boolean },
  ): Promise<StateEvent[]> {
    const sent = this.#sfn.send(new GetExecutionHistoryCommand({ executionArn, ...options }));
    const page = await at(`states:GetExecutionHistory of ${executionArn}`, orNull(sent));
    return stateEvents(page?.events ?? []);
  }
}

function withSignal(signal: AbortSignal | undefined) {
  return signal ? { abortSignal: signal } : {};
}

async function orNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (nameOf(error) === 'ExecutionDoesNotExist') return null;
    throw error;
  }
}

function listed(
  one: {
    name?: string | undefined;
    status?: ExecutionStatus | undefined;
    startDate?: Date | undefined;
    stopDate?: Date | undefined;
  },
  arn: string,
): ListedExecution {
  return {
    arn,
    name: one.name ?? arn.split(':').at(-1) ?? '',
    status: one.status ?? 'RUNNING',
    startedAt: one.startDate?.getTime() ?? 0,
    endedAt: one.stopDate?.getTime() ?? null,
  };
}
