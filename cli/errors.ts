import type { Outcome } from '../core/errors.ts';

/** Exit codes of the `runctl` command: people's scripts compare with them. */
export const EXIT = { succeeded: 0, runFailed: 1, usage: 2, setUp: 3, skipped: 4, ownFault: 70 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The exit code of a command that waits for the end of a run. */
export function exitCodeOf(outcome: Outcome): ExitCode {
  if (outcome === 'succeeded') return EXIT.succeeded;
  return outcome === 'skipped' ? EXIT.skipped : EXIT.runFailed;
}

/** An error that the user can resolve: `message` says what happened, `next` what to do. */
export class CliError extends Error {
  override readonly name: string = 'CliError';
  readonly next: string;
  readonly exitCode: ExitCode;

  constructor(message: string, next: string, exitCode: ExitCode, options?: ErrorOptions) {
    super(message, options);
    this.next = next;
    this.exitCode = exitCode;
  }
}

/** The request is wrong: an unknown option, a run that does not exist, a bad spec. */
export function usageError(message: string, next: string, options?: ErrorOptions): CliError {
  return new CliError(message, next, EXIT.usage, options);
}

/** AWS, the network or the setup failed. */
export function setUpError(message: string, next: string, options?: ErrorOptions): CliError {
  return new CliError(message, next, EXIT.setUp, options);
}
