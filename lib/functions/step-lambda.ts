import { type Duration, RemovalPolicy } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, type IFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { ENV, STACK_NAME } from '../../core/names.ts';
import type { Config } from '../config.ts';
import { type Permission, toPolicy } from '../iam/permission.ts';

export interface StepLambdaProps {
  readonly config: Config;
  readonly description: string;
  readonly permissions: readonly Permission[];
  readonly environment: Partial<Record<keyof typeof ENV, string>>;
  readonly timeout: Duration;
  /** MiB. */
  readonly memory?: number;
  /** Reserved concurrency; further events wait in Lambda's queue for up to six hours. */
  readonly concurrency?: number | null;
  /** Receives asynchronous events that the function could not process. */
  readonly deadLetters?: IQueue;
}

/** A Lambda function from `lambdas/<id>.ts` with its own role and log group. */
export class StepLambda extends Construct {
  readonly function: IFunction;
  readonly timeout: Duration;
  readonly description: string;

  constructor(scope: Construct, id: string, props: StepLambdaProps) {
    super(scope, id);
    this.timeout = props.timeout;
    this.description = props.description;
    const functionName = `${STACK_NAME}-${id}`;
    const logGroup = new LogGroup(this, 'Logs', {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    // Streams of its own log group.
    const writeLogs: Permission = {
      actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      resources: [logGroup.logGroupArn],
    };
    const { deadLetters } = props;
    const sendDeadLetters = deadLetters ? [{ actions: ['sqs:SendMessage'], resources: [deadLetters.queueArn] }] : [];
    const permissions = [writeLogs, ...props.permissions, ...sendDeadLetters];
    const role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      inlinePolicies: { step: toPolicy(permissions) },
    });
    this.function = new NodejsFunction(this, 'Function', {
      functionName,
      description: props.description,
      code: Code.fromAsset(`${props.config.bundles}/${id}`),
      handler: 'index.handler',
      runtime: Runtime.NODEJS_22_X,
      architecture: props.config.architecture === 'arm64' ? Architecture.ARM_64 : Architecture.X86_64,
      memorySize: props.memory ?? 256,
      timeout: props.timeout,
      role,
      logGroup,
      environment: Object.fromEntries(
        Object.entries(props.environment).map(([key, value]) => [ENV[key as keyof typeof ENV], value]),
      ),
      ...(props.concurrency ? { reservedConcurrentExecutions: props.concurrency } : {}),
      // Not SqsDestination: that grants reading the queue's attributes as well.
      ...(deadLetters ? { onFailure: { bind: () => ({ destination: deadLetters.queueArn }) } } : {}),
    });
  }
}
