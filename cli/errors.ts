/** Exit codes of the `runctl` command: people's scripts compare with them. */
export const EXIT = { succeeded: 0, runFailed: 1, usage: 2, setUp: 3, ownFault: 70 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A failure that a person can do something about: `message` says what happened, `next` what to do. */
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

/** The person asked for something that cannot be: wrong flags, a run that is not there, a bad spec. */
export function usageError(message: string, next: string, options?: ErrorOptions): CliError {
  return new CliError(message, next, EXIT.usage, options);
}

/** AWS, the network or the set-up does not play along. */
export function setUpError(message: string, next: string, options?: ErrorOptions): CliError {
  return new CliError(message, next, EXIT.setUp, options);
}
