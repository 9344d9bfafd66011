import { RunError } from '../../core/errors.ts';

const DENIED = [
  'AccessDenied',
  'AccessDeniedException',
  'UnauthorizedOperation',
  'ExpiredToken',
  'ExpiredTokenException',
];

/** Settings of every client: adaptive retries slow down when a service throttles; hung connections end in seconds. */
export const CLIENT_SETTINGS = {
  retryMode: 'adaptive',
  maxAttempts: 6,
  requestHandler: { connectionTimeout: 3_000, requestTimeout: 15_000 },
} as const;

/** Beside {@link CLIENT_SETTINGS}, for what a run does by the way: it stands still meanwhile. */
export const IMPATIENT = { maxAttempts: 2, requestHandler: { connectionTimeout: 2_000, requestTimeout: 3_000 } };

export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

/**
 * Names an error of the AWS SDK after its retries are used up.
 * @param what the action and what it was done to, as a person would say it
 */
export function translate(error: unknown, what: string): RunError {
  if (error instanceof RunError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const denied = DENIED.includes(errorName(error));
  return new RunError(denied ? 'AccessDenied' : 'ServiceUnavailable', `${what}: ${errorName(error)}: ${text}`);
}
