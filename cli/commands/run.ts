import type { Command } from 'commander';
import { withContext } from '../context.ts';
import { addSpecOptions } from '../project/spec-options.ts';
import type { RunOptions } from '../runs/run.ts';

export function addRunCommand(program: Command): void {
  const command = program
    .command('run')
    .description('pack and upload this folder, train it on your instance, and follow the run')
    .usage('[options] [-- arguments of the script]')
    .argument('[arguments...]', 'arguments of the script, passed on unchanged')
    .option('-d, --detach', 'print the run id and exit; the run continues')
    .option('-y, --yes', 'start without asking; needed where there is no terminal')
    .option('--dry-run', 'show the plan, and start nothing')
    .option('--verbose', 'show the whole log of the sync')
    .option('--include-secrets', 'also pack files that look like secrets (.env, keys, credentials)')
    .option('--full', 'upload the whole archive, also where a part of it would do')
    .option('--json', 'print one JSON document at the end; progress goes to stderr');
  addSpecOptions(command)
    .addHelpText(
      'after',
      `
Options override runctl.yaml; --env, --secret and --outputs replace its values. Ctrl-C detaches: the run continues.
Exit codes: 0 the run succeeded, 1 it failed, 2 usage error, 3 AWS or setup error, 4 skipped (--if-busy skip), 130
detached by Ctrl-C.

Examples:
  runctl run --dry-run                          the plan alone
  runctl run                                    train.py or main.py, on the instance tagged Project=<project>
  runctl run -- --epochs 3 --lr 1e-3            arguments of the script
  runctl run --instance i-0123456789abcdef0 --max-duration 6h
  runctl run --secret WANDB_API_KEY=ssm:/team/wandb       the instance reads the value with its role
  id=$(runctl run --yes --detach)               in a script: only the run id goes to stdout
  runctl run --archive s3://BUCKET/archives/digits/4f1c….tar.gz --project digits`,
    )
    .action((words: string[], options: RunOptions & Record<string, unknown>, self: Command) =>
      withContext(self, async (context) => {
        const [{ runProject }, { scriptArguments, specOf }] = await Promise.all([
          import('../runs/run.ts'),
          import('../project/spec-from-options.ts'),
        ]);
        return await runProject(context, specOf(options, scriptArguments(self, words)), options);
      }),
    );
}
