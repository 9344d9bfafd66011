import { awsError } from '../../support/fakes/sdk-client.ts';
import { TaskError } from '../asl/execution.ts';
import type { Executions } from '../asl/executions.ts';
import type { Service } from './invocation.ts';

const PAGE = 100;

/** The API of Step Functions, backed by the interpreter. `machineOf`: a state machine's ARN → its id in the definitions. */
export function statesService(machines: Executions, machineOf: (arn: string) => string): Service {
  const find = (arn: unknown) => {
    const execution = machines.all.get(String(arn));
    if (!execution) throw awsError('ExecutionDoesNotExist');
    return execution;
  };
  return (command, input) => {
    switch (command) {
      case 'StartExecution': {
        try {
          const { about } = machines.start(
            machineOf(String(input.stateMachineArn)),
            String(input.name),
            JSON.parse(String(input.input)),
          );
          return { executionArn: about.arn };
        } catch (error) {
          throw error instanceof TaskError ? awsError('ExecutionAlreadyExists') : error;
        }
      }
      case 'DescribeExecution': {
        const { about, status, startedAt, error, cause } = find(input.executionArn);
        const given = { input: JSON.stringify(about.input), error: error ?? undefined, cause: cause ?? undefined };
        return { name: about.name, status, startDate: new Date(startedAt), ...given };
      }
      case 'GetExecutionHistory': {
        const { history } = find(input.executionArn);
        const events = history.map(({ kind, state, at, output }) => ({
          timestamp: new Date(at),
          ...(kind === 'entered'
            ? { stateEnteredEventDetails: { name: state } }
            : {
                stateExitedEventDetails: { name: state, ...(input.includeExecutionData === false ? {} : { output }) },
              }),
        }));
        if (input.reverseOrder === true) events.reverse();
        const from = Number(input.nextToken ?? 0);
        const next = from + PAGE < events.length ? String(from + PAGE) : undefined;
        return { events: events.slice(from, from + PAGE), nextToken: next };
      }
      case 'StopExecution':
        machines.stop(find(input.executionArn).about.arn, String(input.error), String(input.cause));
        return {};
      default:
        throw new Error(`Step Functions of the soak knows no ${command}`);
    }
  };
}
