import { type Duration, RemovalPolicy } from 'aws-cdk-lib';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import {
  DefinitionBody,
  type IChainable,
  LogLevel,
  QueryLanguage,
  StateMachine,
  StateMachineType,
} from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';

/** A Standard workflow in JSONata. It logs all events without their data, because payloads contain names of people's files. */
export function createMachine(
  scope: Construct,
  id: string,
  options: { name: string; comment: string; start: IChainable; timeout?: Duration },
): StateMachine {
  const logs = new LogGroup(scope, `${id}Logs`, {
    logGroupName: `/aws/vendedlogs/states/${options.name}`,
    retention: RetentionDays.ONE_MONTH,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  return new StateMachine(scope, id, {
    stateMachineName: options.name,
    stateMachineType: StateMachineType.STANDARD,
    comment: options.comment,
    queryLanguage: QueryLanguage.JSONATA,
    ...(options.timeout ? { timeout: options.timeout } : {}),
    definitionBody: DefinitionBody.fromChainable(options.start),
    logs: { destination: logs, level: LogLevel.ALL, includeExecutionData: false },
  });
}
