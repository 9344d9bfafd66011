import { Command } from 'commander';
import { resolveInstance } from '../cli/account/instance.ts';
import { withContext } from '../cli/context.ts';
import { EXIT } from '../cli/errors.ts';
import { runProgram } from '../cli/main.ts';
import { formatDuration } from '../core/units.ts';
import { AccountRuns, PROJECT } from './account-runs.ts';
import { CLAIMS } from './claims.ts';

/** Duration of all claims on AWS, in minutes: an estimate, not measured. */
const MINUTES = 10;

const HELP = `
Starts six small runs on one of your instances, with the deployed stack, and checks these claims:
${CLAIMS.map(({ name, statement }) => `  ${name.padEnd(16)}${statement}`).join('\n')}

Credentials and region are found as the AWS CLI finds them. The instance must pass \`runctl doctor\` and be
idle. These stay afterwards: the runs' logs, the objects runs/${PROJECT}-… in the bucket, and
the folder ${PROJECT} on the instance.

Examples:
  npm run verify:aws -- --instance i-0123456789abcdef0
  npm run verify:aws -- --instance i-0123456789abcdef0 --only success,failure --yes
  npm run verify:aws -- --local --instance i-…    on a local cloud, without the claims that need AWS

Exit codes: 0 every checked claim is true, 1 a claim failed, 3 an error of AWS or of the setup.`;

interface Options {
  readonly instance: string;
  readonly only?: string;
  readonly yes?: boolean;
  readonly local?: boolean;
}

const program = new Command('verify:aws')
  .description('check claims about runctl on an AWS account')
  .requiredOption('--instance <id>', 'the instance to train on')
  .option('--only <names>', 'only these claims, separated by commas')
  .option('--local', 'leave out the claims that need AWS')
  .option('-y, --yes', 'do not ask for confirmation')
  .option('--profile <name>', 'AWS profile')
  .option('--region <name>', 'AWS region')
  .exitOverride()
  .addHelpText('after', HELP)
  .action((options: Options, self: Command) =>
    withContext(self, async ({ account, terminal, signal }) => {
      const selected = options.only?.split(',') ?? CLAIMS.map(({ name }) => name);
      const claims = CLAIMS.filter(({ name, onAwsOnly }) => selected.includes(name) && !(options.local && onAwsOnly));
      const { id, type } = await resolveInstance(account, options.instance, { project: PROJECT, user: null });
      terminal.note(`${claims.length} claims on ${id} (${type}) in ${await account.region()}.`);
      terminal.note(`The runs take about ${MINUTES} minutes of instance time. runctl itself costs less than 2 cents.`);
      if (!options.yes && !(terminal.isInteractive && (await terminal.confirm('Start the runs?', signal)))) {
        terminal.note('Nothing was started. Without a terminal, give --yes.');
        return EXIT.usage;
      }
      const runs = new AccountRuns(account, id, signal);
      let failures = 0;
      for (const claim of claims) {
        const startedAt = performance.now();
        let line: string;
        try {
          line = `${terminal.colors.green('passed')}  ${claim.name}: ${await claim.check(runs)}`;
        } catch (error) {
          if (signal.aborted) throw error;
          failures += 1;
          line = `${terminal.colors.red('FAILED')}  ${claim.name}: ${error instanceof Error ? error.message : error}`;
        }
        terminal.print(`${line} (${formatDuration((performance.now() - startedAt) / 1_000)})`);
      }
      for (const { name } of CLAIMS.filter((one) => !claims.includes(one))) terminal.print(`not checked: ${name}`);
      return failures === 0 ? EXIT.succeeded : EXIT.runFailed;
    }),
  );

await runProgram(program);
