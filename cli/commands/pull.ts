import type { Command } from 'commander';
import { withContext } from '../context.ts';
import type { PullOptions } from '../runs/pull.ts';

export function addPullCommand(program: Command): void {
  program
    .command('pull')
    .description('download the outputs, logs and manifest of a run')
    .argument('[run]', 'run id, the beginning of one, or an ARN (default: the latest run of this project)')
    .option('--to <folder>', 'download to this folder (default: runctl-runs/<run id>)')
    .option('--no-unpack', 'keep outputs.tar.gz and <job>.log.gz packed')
    .option('--force', 'overwrite files with different content')
    .option('--project <name>', "use the latest run of this project instead of the folder's")
    .addHelpText(
      'after',
      `
Outputs keep their paths in the project; manifest.json and <job>.log are written beside them. runctl compares
the SHA-256 of every download with the manifest and resumes interrupted downloads. It prints the folder.

Examples:
  runctl pull
  runctl pull digits-3f2a --to /tmp/run
  cd "$(runctl pull)" && ls`,
    )
    .action(async (id: string | undefined, options: PullOptions & { project?: string }, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { pullRun }, { projectFor }] = await Promise.all([
          import('../runs/find.ts'),
          import('../runs/pull.ts'),
          import('../project/which-project.ts'),
        ]);
        const runs = await Runs.of(context.account);
        const run = await runs.find(id, () => projectFor(context, options));
        return await pullRun(context, runs, run, options);
      });
    });
}
