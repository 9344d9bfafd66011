import type { Command } from 'commander';
import { withContext } from '../context.ts';
import { addSpecOptions } from '../project/spec-options.ts';
import type { RunOptions } from '../runs/run.ts';

export function addRunCommand(program: Command): void {
  const command = program
    .command('run')
    .description('train this folder on your instance: pack, upload, start, follow')
    .usage('[options] [-- arguments of the script]')
    .argument('[arguments...]', 'after --: arguments of the script, taken literally')
    .option('-d, --detach', 'print the id of the run, and leave')
    .option('-y, --yes', 'do not ask before starting')
    .option('--include-secrets', 'pack what looks like a secret too (.env, keys, credentials)')
    .option('--json', 'print one JSON document at the end; what happens goes to stderr');
  addSpecOptions(command)
    .addHelpText(
      'after',
      `
Options win over runctl.yaml; --env and --outputs replace what stands there. Ctrl-C detaches: the run goes on.
Exit code: 0 the run succeeded, 1 it failed, 2 usage, 3 AWS or set-up, 130 detached by Ctrl-C.

Examples:
  runctl run                                    the only one of train.py, main.py, on the instance tagged Project=<project>
  runctl run -- --epochs 3 --lr 1e-3            arguments of the script
  runctl run --instance i-0123456789abcdef0 --max-duration 6h
  id=$(runctl run --yes --detach)               in a script: stdout is the id alone
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
