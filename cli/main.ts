import { Command, CommanderError } from 'commander';
import { InvalidSpec } from '../core/spec/spec.ts';
import { toReadable } from './account/aws-errors.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addInitCommand } from './commands/init.ts';
import { addListCommand } from './commands/list.ts';
import { addLogsCommand } from './commands/logs.ts';
import { addMetricsCommand } from './commands/metrics.ts';
import { addPullCommand } from './commands/pull.ts';
import { addPushCommand } from './commands/push.ts';
import { addRunCommand } from './commands/run.ts';
import { addScheduleCommand } from './commands/schedule.ts';
import { addStatusCommand } from './commands/status.ts';
import { addStopCommand } from './commands/stop.ts';
import { CliError, EXIT } from './errors.ts';
import { printError } from './terminal/terminal.ts';

/** The `runctl` command with the subcommands of this folder; local/ adds its own. */
export function createProgram(): Command {
  const program = new Command('runctl')
    .description('Upload your code; a Step Functions state machine trains it on your own EC2 instance, over SSM alone.')
    .option('--profile <name>', 'AWS profile (default: as the AWS CLI finds it)')
    .option('--region <name>', 'AWS region')
    .showHelpAfterError()
    .exitOverride()
    .addHelpText('after', '\nExit codes: 0 succeeded, 1 the run failed, 2 usage, 3 AWS or set-up.');
  addInitCommand(program);
  addPushCommand(program);
  addRunCommand(program);
  addLogsCommand(program);
  addMetricsCommand(program);
  addStatusCommand(program);
  addListCommand(program);
  addStopCommand(program);
  addPullCommand(program);
  addScheduleCommand(program);
  addDoctorCommand(program);
  return program;
}

/** Runs it as a process does: says what went wrong and what to do about it, and sets the exit code. */
export async function runProgram(program: Command, argv: readonly string[] = process.argv): Promise<void> {
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    fail(toReadable(error));
  }
}

export function fail(error: unknown): void {
  if (error instanceof CommanderError) {
    // It has said so itself. Help that was asked for is no error.
    process.exitCode = error.exitCode === 0 ? EXIT.succeeded : EXIT.usage;
    return;
  }
  const message = error instanceof Error ? error.message : String(error);
  const next = error instanceof Error && 'next' in error && typeof error.next === 'string' ? error.next : null;
  printError(process.stderr, message, next);
  process.exitCode = exitCodeOf(error);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  return error instanceof InvalidSpec ? EXIT.usage : EXIT.runFailed;
}
