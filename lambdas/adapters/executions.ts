import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { CLIENT_SETTINGS, errorName, translate } from './aws-errors.ts';

export interface Executions {
  /** Starts a run; false when one of this name has been started before. */
  start(name: string, input: object): Promise<boolean>;
  /** Whether AWS says that the execution is over, or knows it no more. */
  hasEnded(arn: string): Promise<boolean>;
}

export function createExecutions(stateMachineArn: string | null): Executions {
  return executionsOver(new SFNClient(CLIENT_SETTINGS), stateMachineArn);
}

export function executionsOver(sfn: Pick<SFNClient, 'send'>, stateMachineArn: string | null): Executions {
  return {
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
    async hasEnded(arn) {
      try {
        const execution = await sfn.send(new DescribeExecutionCommand({ executionArn: arn }));
        return execution.status !== 'RUNNING' && execution.status !== 'PENDING_REDRIVE';
      } catch (error) {
        if (errorName(error) === 'ExecutionDoesNotExist') return true;
        throw translate(error, `states:DescribeExecution of ${arn}`);
      }
    },
  };
}
