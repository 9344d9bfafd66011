import type { Command } from 'commander';
import { withContext } from '../context.ts';

interface StopOptions {
  readonly project?: string;
  readonly all?: true;
  readonly wait: boolean;
  readonly json?: true;
}

export function addStopCommand(program: Command): void {
  program
    .command('stop')
    .description('stop runs; their outputs and logs are saved')
    .argument('[runs...]', 'run ids, beginnings of one, or ARNs (default: the only active run of this project)')
    .option('--all', 'stop all active runs of this project')
    .option('--no-wait', 'return at once instead of waiting until the processes have ended')
    .option('--project <name>', "use the runs of this project instead of the folder's")
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
runctl sends TERM to all processes of the training, gives them stopGrace (run spec, default 30s) to write
a checkpoint, and then sends KILL. A run that waits for its instance leaves the queue. The command returns when
the processes have ended; outputs and logs are saved after that, and runctl pull waits for them. Ctrl-C does not
cancel the stop.

Examples:
  runctl stop
  runctl stop digits-3f2a digits-77b0
  runctl stop --all --no-wait`,
    )
    .action(async (ids: string[], options: StopOptions, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { stopRuns }, { runsToStop }] = await Promise.all([
          import('../runs/find.ts'),
          import('../runs/stop.ts'),
          import('../runs/choose.ts'),
        ]);
        const runs = await Runs.of(context.account);
        const chosen = await runsToStop(context, runs, { ...options, ids, all: options.all === true });
        return await stopRuns(context, runs, chosen, { wait: options.wait, json: options.json === true });
      });
    });
}
