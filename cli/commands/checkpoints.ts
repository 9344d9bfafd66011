import type { Command } from 'commander';
import { withContext } from '../context.ts';
import { EXIT } from '../errors.ts';

interface CheckpointsOptions {
  readonly project?: string;
  readonly json?: true;
}

export function addCheckpointsCommand(program: Command): void {
  program
    .command('checkpoints')
    .description('list the checkpoints of a training that are in S3')
    .argument('[run]', 'run id, the beginning of one, or an ARN (default: the latest run of this project)')
    .option('--project <name>', "use the latest run of this project instead of the folder's")
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
While a training runs, runctl sends its complete checkpoints to S3 and keeps the newest. The key checkpoints of
runctl.yaml says where they are, and how many are kept.

Examples:
  runctl checkpoints
  runctl checkpoints digits-3f2a --json | jq -r '.checkpoints[0].name'`,
    )
    .action(async (id: string | undefined, options: CheckpointsOptions, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { reportOn }, { projectFor }, { listCheckpoints, printCheckpoints }] = await Promise.all([
          import('../runs/find.ts'),
          import('../runs/report.ts'),
          import('../project/which-project.ts'),
          import('../runs/checkpoints.ts'),
        ]);
        const { account, terminal } = context;
        const runs = await Runs.of(account);
        const run = await runs.find(id, () => projectFor(context, options));
        const sources = { runs, logs: account.logs, logGroup: await account.output('logGroup') };
        const listed = await listCheckpoints(runs.store, await reportOn(sources, run));
        if (options.json) terminal.json(listed);
        else printCheckpoints(terminal, listed, Date.now());
        return EXIT.succeeded;
      });
    });
}
