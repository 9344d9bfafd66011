import { type Command, Option } from 'commander';
import { withContext } from '../context.ts';
import type { LogsOptions } from '../logs/show-logs.ts';
import { duration, wholeNumber } from '../terminal/options.ts';

export function addLogsCommand(program: Command): void {
  program
    .command('logs')
    .description("the training's log of a run: its last lines, or as it grows")
    .argument('[run]', 'its id, the beginning of it, or its ARN (default: the latest run of this project)')
    .option('-f, --follow', 'until the run ends; then the exit code is 0 when it succeeded, else 1')
    .option('--live', 'like -f, from the instance itself: 2 to 3 s after a line was written')
    .addOption(new Option('--install', 'the log of the install instead').conflicts('sync'))
    .option('--sync', 'the log of bringing the code to the instance instead')
    .option('-n, --number <lines>', 'so many of the last lines (default: 50)', wholeNumber)
    .addOption(
      new Option('--since <duration>', 'all lines of the last 90s, 10m, 2h, 1d')
        .argParser(duration)
        .conflicts('number'),
    )
    .addOption(new Option('--raw', 'the whole log, byte for byte').conflicts(['json', 'since', 'number']))
    .option('--json', 'a JSON object a line: job, time, text')
    .option('--project <name>', 'the latest run of another project than this folder')
    .addHelpText(
      'after',
      `
Logs come from CloudWatch, also when the instance is gone. Ctrl-C leaves the run alone.

Examples:
  runctl logs -f
  runctl logs digits-3f2a --install
  runctl logs --since 10m --json | jq -r .text
  runctl logs --raw > train.log`,
    )
    .action(async (wanted: string | undefined, options: LogsOptions, command: Command) => {
      await withContext(command, async (context) => {
        const { showLogs } = await import('../logs/show-logs.ts');
        return await showLogs(context, wanted, options);
      });
    });
}
