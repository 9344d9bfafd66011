import { Duration } from 'aws-cdk-lib';
import { type IChainable, JitterType, TaskInput, type TaskStateBase, Timeout } from 'aws-cdk-lib/aws-stepfunctions';
import { LambdaInvoke } from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import { ERRORS } from '../../core/errors.ts';
import type { StepLambda } from '../functions/step-lambda.ts';

/** The call was refused before the function began. */
const REFUSED_CALLS = ['Lambda.TooManyRequestsException'];
/** Faults of the Lambda service itself, AWS's own list: the function may have run, and its answer been lost. */
const LOST_CALLS = [
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
];
/** A function that ran out of time or memory. Every step may run twice, so another attempt harms nothing. */
const FUNCTION_FAULTS = ['States.Timeout', 'Lambda.Unknown', 'Sandbox.Timedout', 'Runtime.ExitError'];
const RETRIED_ERRORS = Object.entries(ERRORS)
  .filter(([, entry]) => entry.retried)
  .map(([name]) => name);

/** The same on every retry of a state: by it a step knows what its own earlier attempt wrote. */
export const STEP_CONTEXT = {
  enteredAt: '{% $states.context.State.EnteredTime %}',
  retryCount: '{% $states.context.State.RetryCount %}',
};

/** What a Catch keeps of an error; a cause may be missing. */
export const CAUGHT = {
  failure:
    '{% {"Error": $states.errorOutput.Error, "Cause": $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : "", "state": $states.context.State.Name} %}',
};

/** A Task state that calls a step's function with variables of the machine, and keeps its answer in a variable. */
export function stepTask(
  scope: Construct,
  name: string,
  step: StepLambda,
  options: { input: Record<string, unknown>; assign: Record<string, string>; comment: string },
): LambdaInvoke {
  const task = LambdaInvoke.jsonata(scope, name, {
    comment: options.comment,
    lambdaFunction: step.function,
    payload: TaskInput.fromObject(options.input),
    outputs: '{% $states.result.Payload %}',
    assign: options.assign,
    // The function ends by itself first; this is for an invocation that is lost.
    taskTimeout: Timeout.duration(step.timeout.plus(Duration.seconds(30))),
    retryOnServiceExceptions: false,
  });
  // 2 + 4 + 8 + 16 + 32 + 14 × 60 s: a quarter of an hour of too many calls at once, half of it after jitter. Thousands of uploads take that where Lambda may run ten functions.
  task.addRetry({
    errors: REFUSED_CALLS,
    interval: Duration.seconds(2),
    maxAttempts: 19,
    backoffRate: 2,
    maxDelay: Duration.seconds(60),
    jitterStrategy: JitterType.FULL,
  });
  // 10 + 20 + 40 + 60 + 60 s. Ten at least: what the attempt before wrote to CloudWatch must be readable.
  task.addRetry({
    errors: [...LOST_CALLS, ...FUNCTION_FAULTS, ...RETRIED_ERRORS],
    interval: Duration.seconds(10),
    maxAttempts: 5,
    backoffRate: 2,
    maxDelay: Duration.seconds(60),
  });
  return task;
}

/** Every error leads to the clean-up. States.ALL does not contain DataLimitExceeded. */
export function catchAll(task: TaskStateBase, next: IChainable): void {
  task.addCatch(next, { errors: ['States.DataLimitExceeded'], assign: CAUGHT });
  task.addCatch(next, { errors: ['States.ALL'], assign: CAUGHT });
}
