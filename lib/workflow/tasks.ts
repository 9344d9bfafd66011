import { Duration } from 'aws-cdk-lib';
import { type CatchProps, type IChainable, JitterType, TaskInput, Timeout } from 'aws-cdk-lib/aws-stepfunctions';
import { LambdaInvoke, type StepFunctionsStartExecution } from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import { ERRORS } from '../../core/errors.ts';
import type { StepLambda } from '../functions/step-lambda.ts';

/** Lambda refused the call before the function started. */
const REFUSED_CALLS = ['Lambda.TooManyRequestsException'];
/** Lambda service exceptions as AWS lists them: the function may have run, and its answer may be lost. */
const LOST_CALLS = [
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
];
/** The function ran out of time or memory. Steps are idempotent, so another attempt is safe. */
const FUNCTION_FAULTS = ['States.Timeout', 'Lambda.Unknown', 'Sandbox.Timedout', 'Runtime.ExitError'];
const RETRIED_ERRORS = Object.entries(ERRORS)
  .filter(([, entry]) => entry.retried)
  .map(([name]) => name);

/** Equal for all attempts of a state: a step uses it to recognize what its earlier attempt wrote. */
export const STEP_CONTEXT = {
  enteredAt: '{% $states.context.State.EnteredTime %}',
  retryCount: '{% $states.context.State.RetryCount %}',
};

/** What a Catch keeps of an error; an error can lack a cause. */
export const CAUGHT = {
  failure:
    '{% {"Error": $states.errorOutput.Error, "Cause": $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : "", "state": $states.context.State.Name} %}',
};

/** A Task state that invokes a step's function with variables of the machine and assigns its answer to a variable. */
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
    // The function's own timeout comes first; this one is for a lost invocation.
    taskTimeout: Timeout.duration(step.timeout.plus(Duration.seconds(30))),
    retryOnServiceExceptions: false,
  });
  // 2 + 4 + 8 + 16 + 32 + 14 × 60 s are 15 minutes, on average half of that with jitter: thousands of uploads at once take that long in an
  // account where Lambda may run ten functions.
  task.addRetry({
    errors: REFUSED_CALLS,
    interval: Duration.seconds(2),
    maxAttempts: 19,
    backoffRate: 2,
    maxDelay: Duration.seconds(60),
    jitterStrategy: JitterType.FULL,
  });
  // 10 + 20 + 40 + 60 + 60 s. At least 10 s, so that CloudWatch returns what the attempt before wrote.
  task.addRetry({
    errors: [...LOST_CALLS, ...FUNCTION_FAULTS, ...RETRIED_ERRORS],
    interval: Duration.seconds(10),
    maxAttempts: 5,
    backoffRate: 2,
    maxDelay: Duration.seconds(60),
  });
  return task;
}

/** Every error leads to the clean-up. States.ALL does not include DataLimitExceeded. */
export function catchAll(task: { addCatch(next: IChainable, props: CatchProps): unknown }, next: IChainable): void {
  task.addCatch(next, { errors: ['States.DataLimitExceeded'], assign: CAUGHT });
  task.addCatch(next, { errors: ['States.ALL'], assign: CAUGHT });
}

/** Faults of Step Functions itself: 2 + 4 + 8 + 16 + 32 s. The name of the nested execution is equal on a retry, so that it is found. */
export function retryNested(task: StepFunctionsStartExecution): void {
  task.addRetry({
    errors: [
      'StepFunctions.ThrottlingException',
      'StepFunctions.ServiceUnavailable',
      'StepFunctions.SdkClientException',
      // What Step Functions calls a fault of its own in a nested call (Step Functions Developer Guide, "Error handling").
      'StepFunctions.AWSStepFunctionsException',
    ],
    interval: Duration.seconds(2),
    maxAttempts: 5,
    backoffRate: 2,
  });
}
