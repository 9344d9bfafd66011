import type { Command } from 'commander';
import { withContext } from '../context.ts';
import type { PullOptions } from '../runs/stage.ts';
import { wholeNumber } from '../terminal/options.ts';

interface Options extends PullOptions {
  readonly project?: string;
  readonly all?: true;
  readonly number: number;
  readonly json?: true;
}

export function addPullCommand(program: Command): void {
  program
    .command('pull')
    .description('download the outputs, logs and manifests of runs')
    .argument('[runs...]', 'run ids, beginnings of one, or ARNs (default: the latest run of this project)')
    .option('--all', 'download the runs of this project that have ended')
    .option('-n, --number <count>', 'with --all: at most this many, the latest', wholeNumber, 20)
    .option(
      '--to <folder>',
      'download to this folder; with several runs, to a folder of each in it (default: runctl-runs)',
    )
    .option(
      '--also <pattern>',
      'also fetch files that the run wrote and `outputs` does not name, while the instance has them; repeatable',
      (pattern: string, before: string[]) => [...before, pattern],
      [],
    )
    .option('--no-unpack', 'keep outputs.tar.gz and <job>.log.gz packed')
    .option('--force', 'overwrite files with different content')
    .option('--project <name>', "use the runs of this project instead of the folder's")
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Outputs keep their paths in the project; manifest.json and <job>.log are written beside them. runctl compares
the SHA-256 of every download with the manifest and resumes interrupted downloads. It prints the folder of each run.
A run that is being stopped is waited for. Of a run that goes on, runctl pull brings the logs so far, and the outputs and
checkpoints that are finished: it fetches them from the instance.

Examples:
  runctl pull
  runctl pull digits-3f2a --to /tmp/run
  runctl pull digits-3f2a digits-77b0
  runctl pull --also 'results/**' --also '*.csv'
  cd "$(runctl pull)" && ls`,
    )
    .action(async (ids: string[], options: Options, command: Command) => {
      await withContext(command, async (context) => {
        const [{ Runs }, { pullRuns }, { runsToPull }] = await Promise.all([
          import('../runs/find.ts'),
          import('../runs/pull.ts'),
          import('../runs/choose.ts'),
        ]);
        const runs = await Runs.of(context.account);
        const chosen = await runsToPull(context, runs, { ...options, ids, all: options.all === true });
        const several = options.all === true || ids.length > 1;
        return await pullRuns(context, runs, chosen, { ...options, several, json: options.json === true });
      });
    });
}
