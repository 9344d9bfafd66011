import type { Command } from 'commander';
import { withContext } from '../context.ts';

interface StopOptions {
  readonly project?: string;
  readonly wait: boolean;
}

export function addStopCommand(program: Command): void {
  program
    .command('stop')
    .description('stop a run gracefully: its outputs and logs are kept')
    .argument('[run]', 'its id, the beginning of it, or its ARN (default: the latest run of this project)')
    .option('--no-wait', 'do not wait until everything is kept')
    .option('--project <name>', 'the latest run of another project than this folder')
    .addHelpText(
      'after',
      `
The training and all its processes get TERM, then stopGrace (run spec, default 30s) to write a
checkpoint, then KILL. A run that waits for its instance leaves the queue. Ctrl-C leaves the stop
in force.

Examples:
  runctl stop
  runctl stop digits-3f2a --no-wait`,
    )
    .action(async (wanted: string | undefined, options: StopOptions, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { stopRun }, { projectFor }] = await Promise.all([
          import('../runs/find.ts'),
          import('../runs/stop.ts'),
          import('../project/which-project.ts'),
        ]);
        const runs = await Runs.of(context.account);
        const run = await runs.find(wanted, () => projectFor(context, options));
        return await stopRun(context, runs, run, options);
      });
    });
}
