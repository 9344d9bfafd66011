import { Command } from 'commander';
import { resolveInstance } from '../cli/account/instance.ts';
import { withContext } from '../cli/context.ts';
import { EXIT } from '../cli/errors.ts';
import { runProgram } from '../cli/main.ts';
import { formatDuration } from '../core/units.ts';
import { AccountRuns, PROJECT } from './account-runs.ts';
import { CLAIMS } from './claims.ts';

/** What all claims take on AWS, in minutes: an estimate, never measured so far. */
const MINUTES = 10;

const HELP = `
Starts six small runs on one instance of yours, with the stack that is deployed, and looks at what becomes of them:
${CLAIMS.map(({ name, says }) => `  ${name.padEnd(16)}${says}`).join('\n')}

Credentials and region come from where the AWS CLI finds them. The instance must be as \`runctl doctor\` wants it, and idle. What stays: the runs' logs, runs/${PROJECT}-… in the bucket, and
the folder ${PROJECT} on the instance.

Examples:
  npm run verify:aws -- --instance i-0123456789abcdef0
  npm run verify:aws -- --instance i-0123456789abcdef0 --only success,failure --yes
  npm run verify:aws -- --local --instance i-…    on a local cloud: without what only AWS can show

Exit codes: 0 all that was looked at holds, 1 something does not, 3 AWS or set-up.`;

interface Options {
  readonly instance: string;
  readonly only?: string;
  readonly yes?: boolean;
  readonly local?: boolean;
}

const program = new Command('verify:aws')
  .description('proves on an account what the local cloud cannot')
  .requiredOption('--instance <id>', 'the instance to train on')
  .option('--only <names>', 'some of them, with commas between')
  .option('--local', 'leave out what needs AWS itself')
  .option('-y, --yes', 'do not ask')
  .option('--profile <name>', 'AWS profile')
  .option('--region <name>', 'AWS region')
  .exitOverride()
  .addHelpText('after', HELP)
  .action((given: Options, self: Command) =>
    withContext(self, async ({ account, terminal, signal }) => {
      const wanted = given.only?.split(',') ?? CLAIMS.map(({ name }) => name);
      const claims = CLAIMS.filter(({ name, onAwsOnly }) => wanted.includes(name) && !(given.local && onAwsOnly));
      const { id, type } = await resolveInstance(account, given.instance, { project: PROJECT, user: null });
      terminal.note(`${claims.length} claims on ${id} (${type}) in ${await account.region()}.`);
      terminal.note(`It takes about ${MINUTES} minutes of the instance, and under 2 cents for runctl itself.`);
      if (!given.yes && !(terminal.isInteractive && (await terminal.confirm('Begin?', signal)))) {
        terminal.note('Nothing was started. Without a terminal, say --yes.');
        return EXIT.usage;
      }
      const runs = new AccountRuns(account, id, signal);
      let failures = 0;
      for (const claim of claims) {
        const began = performance.now();
        let line: string;
        try {
          line = `${terminal.colors.green('proved')}  ${claim.name}: ${await claim.prove(runs)}`;
        } catch (error) {
          if (signal.aborted) throw error;
          failures += 1;
          line = `${terminal.colors.red('NOT SO')}  ${claim.name}: ${error instanceof Error ? error.message : error}`;
        }
        terminal.print(`${line} (${formatDuration((performance.now() - began) / 1_000)})`);
      }
      for (const { name } of CLAIMS.filter((one) => !claims.includes(one))) terminal.print(`not looked at: ${name}`);
      return failures === 0 ? EXIT.succeeded : EXIT.runFailed;
    }),
  );

await runProgram(program);
