import {
  DescribeExecutionCommand,
  type DescribeExecutionCommandOutput,
  GetExecutionHistoryCommand,
  type GetExecutionHistoryCommandInput,
  type HistoryEvent,
  ListExecutionsCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { isCaught, type StateEvent } from '../../core/workflow/history.ts';
import { CLIENT_SETTINGS, errorName, translate } from './aws-errors.ts';

/** What AWS says of an execution. */
export interface ExecutionState {
  readonly arn: string;
  readonly name: string;
  readonly status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED' | 'PENDING_REDRIVE';
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** JSON. */
  readonly input: string | null;
  readonly error: string | null;
  readonly cause: string | null;
}

export interface Executions {
  /** Starts a run; false when one of this name has been started before. */
  start(name: string, input: object): Promise<boolean>;
  /** Whether AWS says that the execution is over, or knows it no more. */
  hasEnded(arn: string): Promise<boolean>;
  /** ARNs of the state machine's executions that run. The service's list lags a little behind. */
  running(): Promise<string[]>;
  /** null: AWS knows it not, or no more. */
  describe(arn: string): Promise<ExecutionState | null>;
  /** The states that were entered and left, oldest first; `data`: with what they gave. Empty for an execution that AWS knows no more. */
  history(arn: string, options: { data: boolean }): Promise<StateEvent[]>;
  /** What a state gave when it was left last, not by its Catch: JSON; null when it never was. Reads from the end, so that a long history costs no more. */
  lastOutput(arn: string, state: string): Promise<string | null>;
  /** Aborts it; one that has ended, or never was, stays as it is. */
  stop(arn: string, cause: string): Promise<void>;
}

export function createExecutions(stateMachineArn: string | null): Executions {
  return executionsOver(new SFNClient(CLIENT_SETTINGS), stateMachineArn);
}

export function executionsOver(sfn: Pick<SFNClient, 'send'>, stateMachineArn: string | null): Executions {
  async function describe(arn: string): Promise<ExecutionState | null> {
    try {
      return toState(arn, await sfn.send(new DescribeExecutionCommand({ executionArn: arn })));
    } catch (error) {
      if (errorName(error) === 'ExecutionDoesNotExist') return null;
      throw translate(error, `states:DescribeExecution of ${arn}`);
    }
  }

  async function* historyOf(executionArn: string, options: Partial<GetExecutionHistoryCommandInput>) {
    let nextToken: string | undefined;
    try {
      do {
        const page = await sfn.send(new GetExecutionHistoryCommand({ executionArn, ...options, nextToken }));
        yield (page.events ?? []).flatMap(toStateEvent);
        nextToken = page.nextToken;
      } while (nextToken);
    } catch (error) {
      if (errorName(error) === 'ExecutionDoesNotExist') return;
      throw translate(error, `states:GetExecutionHistory of ${executionArn}`);
    }
  }

  return {
    describe,
    async start(name, input) {
      if (stateMachineArn === null) throw new Error('this function does not know the state machine');
      try {
        await sfn.send(new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) }));
        return true;
      } catch (error) {
        if (errorName(error) === 'ExecutionAlreadyExists') return false;
        throw translate(error, `states:StartExecution of ${name}`);
      }
    },
    async running() {
      if (stateMachineArn === null) throw new Error('this function does not know the state machine');
      const input = { stateMachineArn, statusFilter: 'RUNNING', maxResults: 1_000 } as const;
      const arns: string[] = [];
      let nextToken: string | undefined;
      try {
        do {
          const page = await sfn.send(new ListExecutionsCommand({ ...input, nextToken }));
          arns.push(...(page.executions ?? []).map(({ executionArn }) => executionArn ?? ''));
          nextToken = page.nextToken;
        } while (nextToken);
        return arns;
      } catch (error) {
        throw translate(error, `states:ListExecutions of ${stateMachineArn}`);
      }
    },
    async hasEnded(arn) {
      const execution = await describe(arn);
      return execution === null || (execution.status !== 'RUNNING' && execution.status !== 'PENDING_REDRIVE');
    },
    async history(arn, { data }) {
      const events: StateEvent[] = [];
      const pages = historyOf(arn, { includeExecutionData: data, maxResults: data ? 200 : 1_000 });
      for await (const page of pages) events.push(...page);
      return events;
    },
    async lastOutput(arn, state) {
      for await (const page of historyOf(arn, { reverseOrder: true, maxResults: 50 })) {
        const exit = page.find(
          ({ kind, state: left, output }) => kind === 'exited' && left === state && !isCaught(output),
        );
        if (exit) return exit.output;
      }
      return null;
    },
    async stop(arn, cause) {
      try {
        await sfn.send(new StopExecutionCommand({ executionArn: arn, error: 'RunStopped', cause }));
      } catch (error) {
        if (errorName(error) === 'ExecutionDoesNotExist') return;
        throw translate(error, `states:StopExecution of ${arn}`);
      }
    },
  };
}

function toState(arn: string, execution: DescribeExecutionCommandOutput): ExecutionState {
  return {
    arn,
    name: execution.name ?? arn.split(':').at(-1) ?? '',
    status: execution.status ?? 'RUNNING',
    startedAt: execution.startDate?.toISOString() ?? '',
    input: execution.input ?? null,
    error: execution.error ?? null,
    cause: execution.cause ?? null,
  };
}

function toStateEvent(event: HistoryEvent): StateEvent[] {
  const entered = event.stateEnteredEventDetails;
  const exited = event.stateExitedEventDetails;
  const state = entered?.name ?? exited?.name;
  if (state === undefined) return [];
  const at = event.timestamp?.getTime() ?? 0;
  return [{ kind: entered ? 'entered' : 'exited', state, at, output: exited?.output ?? null }];
}
