import type { Context } from 'aws-lambda';
import { nameInMessage } from '../../core/errors.ts';
import { withRun } from './logger.ts';

/**
 * Makes a Lambda handler of a step: its dependencies are created on the first event, once a worker, and the run's id is on every log line.
 * @param runId reads the run's id from the event
 * @param create makes the step; it gets the request's id as well, which Lambda's own second try of an event has too
 */
export function entry<I, O>(
  runId: (input: I) => string,
  create: () => (input: I, requestId: string) => Promise<O>,
): (input: I, context: Pick<Context, 'awsRequestId'>) => Promise<O> {
  let step: ((input: I, requestId: string) => Promise<O>) | null = null;
  return (input, context) =>
    withRun(runId(input), async () => {
      try {
        step ??= create();
        return await step(input, context.awsRequestId);
      } catch (error) {
        throw nameInMessage(error);
      }
    });
}
