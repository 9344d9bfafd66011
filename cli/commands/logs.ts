import { type Command, Option } from 'commander';
import { withContext } from '../context.ts';
import type { LogsOptions } from '../logs/show-logs.ts';
import { duration, wholeNumber } from '../terminal/options.ts';

export function addLogsCommand(program: Command): void {
  program
    .command('logs')
    .description('show the log of a run, or follow it as it grows')
    .argument('[run]', 'run id, the beginning of one, or an ARN (default: the latest run of this project)')
    .option(
      '-f, --follow',
      'follow until the run ends; the exit code is then 0 if it succeeded, 4 if it was skipped, else 1',
    )
    .option('--live', 'like --follow, but read from the instance: lines appear 2 to 3 s after they were written')
    .addOption(new Option('--install', 'show the log of installing the requirements instead').conflicts('sync'))
    .option('--sync', 'show the log of copying the code to the instance instead')
    .option('--restore', 'show the log of bringing the checkpoint to the instance instead')
    .addOption(
      new Option('--attempt <n>', 'of a run with several attempts (default: the latest)').argParser(wholeNumber),
    )
    .option('-n, --number <lines>', 'show this many of the last lines (default: 50)', wholeNumber)
    .addOption(
      new Option('--since <duration>', 'show the lines of the last 90s, 10m, 2h or 1d')
        .argParser(duration)
        .conflicts('number'),
    )
    .addOption(
      new Option(
        '--timestamps',
        "begin each line of the training with the instance's time when it was written",
      ).conflicts(['install', 'sync', 'restore', 'raw']),
    )
    .addOption(new Option('--raw', 'print the whole log, byte for byte').conflicts(['json', 'since', 'number']))
    .option('--json', 'print one JSON object per line: job, time, text')
    .option('--project <name>', "use the latest run of this project instead of the folder's")
    .addHelpText(
      'after',
      `
Logs are read from CloudWatch, so they remain available when the instance is gone. Ctrl-C does not stop the run.
The times of --since and --json are those at which runctl read the lines from the instance, up to 30 s later than they
were written. --timestamps has them to the second: from the instance while the run goes on, from the bucket afterwards.

Examples:
  runctl logs -f
  runctl logs digits-3f2a --install
  runctl logs digits-3f2a --attempt 1
  runctl logs --since 10m --json | jq -r .text
  runctl logs -f --timestamps
  runctl logs --raw > train.log`,
    )
    .action(async (id: string | undefined, options: LogsOptions, command: Command) => {
      await withContext(command, async (context) => {
        const { showLogs } = await import('../logs/show-logs.ts');
        return await showLogs(context, id, options);
      });
    });
}
