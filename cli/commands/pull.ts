import type { Command } from 'commander';
import { withContext } from '../context.ts';
import type { PullOptions } from '../runs/pull.ts';

export function addPullCommand(program: Command): void {
  program
    .command('pull')
    .description('bring outputs, logs and manifest of a run into a folder')
    .argument('[run]', 'its id, the beginning of it, or its ARN (default: the latest run of this project)')
    .option('--to <folder>', 'into this folder (default: runctl-runs/<run id>)')
    .option('--no-unpack', 'leave outputs.tar.gz and <job>.log.gz as they are')
    .option('--force', 'overwrite files that have other content')
    .option('--project <name>', 'the latest run of another project than this folder')
    .addHelpText(
      'after',
      `
Outputs lie in the folder with their paths in the project, beside manifest.json and <job>.log. Every
download is compared with the manifest's SHA-256; one that was interrupted goes on where it stopped.
Prints the folder.

Examples:
  runctl pull
  runctl pull digits-3f2a --to /tmp/run
  cd "$(runctl pull)" && ls`,
    )
    .action(async (wanted: string | undefined, options: PullOptions & { project?: string }, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { pullRun }, { projectFor }] = await Promise.all([
          import('../runs/find.ts'),
          import('../runs/pull.ts'),
          import('../project/which-project.ts'),
        ]);
        const runs = await Runs.of(context.account);
        const run = await runs.find(wanted, () => projectFor(context, options));
        return await pullRun(context, runs, run, options);
      });
    });
}
