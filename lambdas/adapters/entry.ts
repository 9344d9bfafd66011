import { nameInMessage } from '../../core/errors.ts';
import { withRun } from './logger.ts';

/**
 * Makes a Lambda handler of a step: its dependencies are created on the first event, once a worker, and the run's id is on every log line.
 * @param runId reads the run's id from the event
 */
export function entry<I, O>(
  runId: (input: I) => string,
  create: () => (input: I) => Promise<O>,
): (input: I) => Promise<O> {
  let step: ((input: I) => Promise<O>) | null = null;
  return (input) =>
    withRun(runId(input), async () => {
      try {
        step ??= create();
        return await step(input);
      } catch (error) {
        throw nameInMessage(error);
      }
    });
}
