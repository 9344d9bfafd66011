import { Command } from 'commander';

/** The `runctl` command with the subcommands of this folder; local/ adds its own. */
export function createProgram(): Command {
  return new Command('runctl')
    .description('Upload your code; a Step Functions state machine trains it on your own EC2 instance, over SSM alone.')
    .showHelpAfterError();
}

/** Says what went wrong and what to do about it, and makes the process end with 1. */
export function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  console.error(`error: ${message}`);
  if (error instanceof Error && 'next' in error && typeof error.next === 'string') console.error(error.next);
  process.exitCode = 1;
}
