import type { Command } from 'commander';
import { withContext } from '../context.ts';

interface StopOptions {
  readonly project?: string;
  readonly wait: boolean;
}

export function addStopCommand(program: Command): void {
  program
    .command('stop')
    .description('stop a run and save its outputs and logs')
    .argument('[run]', 'run id, the beginning of one, or an ARN (default: the latest run of this project)')
    .option('--no-wait', 'return immediately instead of waiting until outputs and logs are saved')
    .option('--project <name>', "use the latest run of this project instead of the folder's")
    .addHelpText(
      'after',
      `
runctl sends TERM to all processes of the training, gives them stopGrace (run spec, default 30s) to write
a checkpoint, and then sends KILL. A run that waits for its instance leaves the queue. Ctrl-C does not
cancel the stop.

Examples:
  runctl stop
  runctl stop digits-3f2a --no-wait`,
    )
    .action(async (id: string | undefined, options: StopOptions, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { stopRun }, { projectFor }] = await Promise.all([
          import('../runs/find.ts'),
          import('../runs/stop.ts'),
          import('../project/which-project.ts'),
        ]);
        const runs = await Runs.of(context.account);
        const run = await runs.find(id, () => projectFor(context, options));
        return await stopRun(context, runs, run, options);
      });
    });
}
