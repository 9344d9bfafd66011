import { Logger } from '@aws-lambda-powertools/logger';

/** Structured log lines of the Lambda itself; never people's code, logs, URLs or env values. */
export const logger = new Logger({ serviceName: 'runctl' });

/** Runs a handler with the run's id on every line; an error is logged by name before Step Functions sees it. */
export async function withRun<T>(runId: string, work: () => Promise<T>): Promise<T> {
  logger.resetKeys();
  logger.appendKeys({ runId });
  try {
    return await work();
  } catch (error) {
    logger.error('the step failed', error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}
