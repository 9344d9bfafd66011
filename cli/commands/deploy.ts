import type { Command } from 'commander';
import { withContext } from '../context.ts';

interface GivenOptions {
  readonly context?: string[];
  readonly revertDrift?: true;
  readonly yes?: true;
}

export function addDeployCommand(program: Command): void {
  program
    .command('deploy')
    .description('deploy the stack, or update it, in your AWS account')
    .option(
      '-c, --context <key=value>',
      'a setting of the stack, such as silentMinutes=90. Repeat for more.',
      (pair: string, before: string[] = []) => [...before, pair],
    )
    .option('--revert-drift', 'create again what was deleted or changed by hand')
    .option('-y, --yes', 'do not ask before permissions are changed')
    .addHelpText(
      'after',
      `
Settings are the context "runctl:…" of a cdk.json in this folder; --context wins over them. What neither names has its
default, also when an earlier deployment had another value: keep cdk.json for the next time.
docs/reference/run-spec.md lists them. Lists and maps are written as JSON.

Examples:
  runctl deploy
  runctl --profile ml --region eu-west-1 deploy
  runctl deploy --yes --context 'notifyEmails=["ml@example.org"]' --context silentMinutes=90`,
    )
    .action((options: GivenOptions, self: Command) =>
      withContext(self, async (context) => {
        const { deployStack } = await import('../deploy/deploy.ts');
        const { context: settings = [], revertDrift = false, yes = false } = options;
        return await deployStack(context, { settings, revertDrift, yes });
      }),
    );
}
