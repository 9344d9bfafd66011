import { Command } from 'commander';
import { VERSION } from '../core/version.ts';
import { addCheckpointsCommand } from './commands/checkpoints.ts';
import { addDeployCommand } from './commands/deploy.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addImageCommand } from './commands/image.ts';
import { addInitCommand } from './commands/init.ts';
import { addInstanceCommand } from './commands/instance.ts';
import { addListCommand } from './commands/list.ts';
import { addLogsCommand } from './commands/logs.ts';
import { addMetricsCommand } from './commands/metrics.ts';
import { addPullCommand } from './commands/pull.ts';
import { addPushCommand } from './commands/push.ts';
import { addReportCommand } from './commands/report.ts';
import { addRunCommand } from './commands/run.ts';
import { addScheduleCommand } from './commands/schedule.ts';
import { addStatusCommand } from './commands/status.ts';
import { addStopCommand } from './commands/stop.ts';
import { addUiCommand } from './commands/ui.ts';
import { EXIT } from './errors.ts';
import { explain, fail } from './failure.ts';
import { printErrorJson, wantsJson } from './output/error.ts';

/** The `runctl` command with the subcommands of this folder; local/ adds its own. */
export function createProgram(): Command {
  const program = new Command('runctl')
    .description('Upload your code; a Step Functions state machine trains it on your own EC2 instance, over SSM alone.')
    .option('--profile <name>', 'AWS profile (default: as the AWS CLI finds it)')
    .option('--region <name>', 'AWS region')
    .version(VERSION, '--version', 'print the version')
    .exitOverride()
    .addHelpText(
      'after',
      '\nExit codes: 0 succeeded, 1 the run failed, 2 usage, 3 AWS or setup error, 4 the run was skipped, 70 a defect of runctl.',
    );
  addInitCommand(program);
  addPushCommand(program);
  addRunCommand(program);
  addLogsCommand(program);
  addMetricsCommand(program);
  addCheckpointsCommand(program);
  addReportCommand(program);
  addStatusCommand(program);
  addListCommand(program);
  addStopCommand(program);
  addPullCommand(program);
  addUiCommand(program);
  addScheduleCommand(program);
  addInstanceCommand(program);
  addImageCommand(program);
  addDoctorCommand(program);
  addDeployCommand(program);
  return program;
}

/** Runs the command of this process: prints errors with what to do next, and sets the exit code. */
export async function runProgram(program: Command, argv: readonly string[] = process.argv): Promise<void> {
  hintAtHelp(program);
  // `runctl list | head` closes the pipe, which is not an error.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignoreBrokenPipe);
  // Node's own exit code for an uncaught error is 1, which here means that the run failed.
  process.on('uncaughtException', (error) => {
    fail(error);
    process.exit();
  });
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    fail(error);
    const exitCode = Number(process.exitCode ?? EXIT.succeeded);
    if (exitCode !== EXIT.succeeded && wantsJson(argv))
      printErrorJson(process.stdout, explain(error) ?? error, exitCode);
  }
}

/** Adds a reference to the help to usage errors. Commander itself names the nearest option or command. */
function hintAtHelp(command: Command, path = command.name()): void {
  const takesScriptArguments = command.registeredArguments.some((argument) => argument.name() === 'arguments');
  command.configureOutput({
    outputError: (text, write) => {
      write(text);
      if (takesScriptArguments && text.includes('unknown option'))
        write(`Arguments of the script come after --, as in: ${path} -- --epochs 3\n`);
      write(`Help: ${path} --help\n`);
    },
  });
  for (const subcommand of command.commands) hintAtHelp(subcommand, `${path} ${subcommand.name()}`);
}

function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}
