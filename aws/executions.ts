import {
  DescribeExecutionCommand,
  type ExecutionStatus,
  GetExecutionHistoryCommand,
  type GetExecutionHistoryCommandInput,
  type HistoryEvent,
  ListExecutionsCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { isCaught, type StateEvent } from '../core/workflow/history.ts';
import { unless, withAwsErrors, withSignal } from './errors.ts';
import { CLIENT_SETTINGS } from './settings.ts';
import { toLastingStateEvents, toStateEvents } from './state-events.ts';

/** Verify archive and Find instance are within them, with some retries: 5 events a task, 3 a retry. */
const FIRST_EVENTS = 50;
/** The newest state is mostly within them: a task has five events, a choice two. */
const LAST_EVENTS = 20;
const GONE = ['ExecutionDoesNotExist'];

/** An execution as a list has it. Times in epoch milliseconds. */
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

export function isRunning({ status }: Pick<ListedExecution, 'status'>): boolean {
  return status === 'RUNNING' || status === 'PENDING_REDRIVE';
}

/** What Step Functions knows of runs: for 90 days after their end. @throws AwsError */
export interface Executions {
  /** Starts a run; false when one of this name has been started before. */
  start(stateMachineArn: string, name: string, input: object): Promise<boolean>;
  /** Whether the execution is over, or known no more. */
  hasEnded(arn: string): Promise<boolean>;
  /** ARNs of the state machine's executions that run. The service's list lags a little behind. */
  running(stateMachineArn: string): Promise<string[]>;
  /** The latest started first, page by page as they are requested. */
  newest(stateMachineArn: string): AsyncGenerator<ListedExecution>;
  /** null: not known, or no more. */
  describe(arn: string, signal?: AbortSignal): Promise<Execution | null>;
  /** The states that were entered and left, oldest first; `data`: with their outputs. Empty for an execution that is known no more. */
  history(arn: string, options: { data: boolean }): Promise<StateEvent[]>;
  /** How it began: one call, however long the history. */
  beginning(arn: string): Promise<StateEvent[]>;
  /** The state that was entered last and lasts; null before the first. */
  lastState(arn: string): Promise<string | null>;
  /** The output of a state when it was left last, not by its Catch: JSON; null when it never was. Reads from the end, so that a long history costs no more. */
  lastOutput(arn: string, state: string): Promise<string | null>;
  /** Aborts it; one that has ended, or never was, stays as it is. */
  stop(arn: string, cause: string): Promise<void>;
}

export function createExecutions(): Executions {
  return executionsOver(new SFNClient(CLIENT_SETTINGS));
}

export function executionsOver(sfn: Pick<SFNClient, 'send'>): Executions {
  async function describe(arn: string, signal?: AbortSignal): Promise<Execution | null> {
    const sent = sfn.send(new DescribeExecutionCommand({ executionArn: arn }), withSignal(signal));
    const one = await unless(GONE, `states:DescribeExecution of ${arn}`, sent);
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

  async function* historyPages(executionArn: string, options: Partial<GetExecutionHistoryCommandInput>) {
    let nextToken: string | undefined;
    do {
      const sent = sfn.send(new GetExecutionHistoryCommand({ executionArn, ...options, nextToken }));
      const page = await unless(GONE, `states:GetExecutionHistory of ${executionArn}`, sent);
      yield (page?.events ?? []) as readonly HistoryEvent[];
      nextToken = page?.nextToken;
    } while (nextToken);
  }

  async function* listPages(stateMachineArn: string, options: { statusFilter?: 'RUNNING'; maxResults: number }) {
    let nextToken: string | undefined;
    do {
      const sent = sfn.send(new ListExecutionsCommand({ stateMachineArn, ...options, nextToken }));
      const page = await withAwsErrors(`states:ListExecutions of ${stateMachineArn}`, sent);
      yield (page.executions ?? []).map((one) => listed(one, one.executionArn ?? ''));
      nextToken = page.nextToken;
    } while (nextToken);
  }

  return {
    describe,

    async start(stateMachineArn, name, input) {
      const command = new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) });
      const action = `states:StartExecution of ${name}`;
      return (await unless(['ExecutionAlreadyExists'], action, sfn.send(command))) !== null;
    },

    async running(stateMachineArn) {
      const arns: string[] = [];
      const pages = listPages(stateMachineArn, { statusFilter: 'RUNNING', maxResults: 1_000 });
      for await (const page of pages) arns.push(...page.map(({ arn }) => arn));
      return arns;
    },

    /** Step Functions itself puts an ended one where its end was: so each is held back until nothing that started later can come. */
    async *newest(stateMachineArn) {
      const held: ListedExecution[] = [];
      for await (const page of listPages(stateMachineArn, { maxResults: 100 })) {
        for (const one of page) {
          const place = one.endedAt ?? one.startedAt;
          while (held[0] && held[0].startedAt >= place) yield held.shift() as ListedExecution;
          held.push(one);
          held.sort((a, b) => b.startedAt - a.startedAt);
        }
      }
      yield* held;
    },

    async hasEnded(arn) {
      const execution = await describe(arn);
      return execution === null || !isRunning(execution);
    },

    async history(arn, { data }) {
      const events: StateEvent[] = [];
      const pages = historyPages(arn, { includeExecutionData: data, maxResults: data ? 200 : 1_000 });
      for await (const page of pages) events.push(...toStateEvents(page));
      return events;
    },

    async beginning(arn) {
      const { value } = await historyPages(arn, { maxResults: FIRST_EVENTS }).next();
      return toStateEvents(value ?? []);
    },

    async lastState(arn) {
      const pages = historyPages(arn, { maxResults: LAST_EVENTS, reverseOrder: true, includeExecutionData: false });
      for await (const page of pages) {
        const entered = toLastingStateEvents(page).find(({ kind }) => kind === 'entered');
        if (entered) return entered.state;
      }
      return null;
    },

    async lastOutput(arn, state) {
      for await (const page of historyPages(arn, { reverseOrder: true, maxResults: 50 })) {
        const exit = toStateEvents(page).find(
          ({ kind, state: left, output }) => kind === 'exited' && left === state && !isCaught(output),
        );
        if (exit) return exit.output;
      }
      return null;
    },

    async stop(arn, cause) {
      const command = new StopExecutionCommand({ executionArn: arn, error: 'RunStopped', cause });
      await unless(GONE, `states:StopExecution of ${arn}`, sfn.send(command));
    },
  };
}

type Described = {
  readonly name?: string | undefined;
  readonly status?: ExecutionStatus | undefined;
  readonly startDate?: Date | undefined;
  readonly stopDate?: Date | undefined;
};

function listed(one: Described, arn: string): ListedExecution {
  return {
    arn,
    name: one.name ?? arn.split(':').at(-1) ?? '',
    status: one.status ?? 'RUNNING',
    startedAt: one.startDate?.getTime() ?? 0,
    endedAt: one.stopDate?.getTime() ?? null,
  };
}
