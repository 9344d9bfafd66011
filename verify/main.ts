import { PricingClient } from '@aws-sdk/client-pricing';
import { Command } from 'commander';
import { pricesOver } from '../aws/prices.ts';
import type { Account } from '../cli/account/account.ts';
import { resolveInstance } from '../cli/account/instance.ts';
import { withContext } from '../cli/context.ts';
import { EXIT } from '../cli/errors.ts';
import { oneInstance } from '../cli/instance/status.ts';
import { runProgram } from '../cli/main.ts';
import { costOf } from '../core/cost/cost-cap.ts';
import { dollars, type Price, priceText } from '../core/cost/price.ts';
import { formatDuration } from '../core/units.ts';
import { AccountRuns, PROJECT } from './account-runs.ts';
import type { Claim } from './claim.ts';
import { CLAIMS } from './claims.ts';

const PRICE_MS = 5_000;

const HELP = `
Starts small runs on one of your instances, with the deployed stack, and checks these claims:
${CLAIMS.map(({ name, statement }) => `  ${name.padEnd(16)}${statement}`).join('\n')}

Before anything is started, it says how long the instance, and others that a claim starts, will run, and what that
costs about. Credentials and region are found as the AWS CLI finds them. The instance must pass \`runctl doctor\` and
be idle. These stay afterwards: the runs' logs, the objects runs/${PROJECT}-… in the bucket, and the folder ${PROJECT}
on the instance.

Examples:
  npm run verify:aws -- --instance i-0123456789abcdef0
  npm run verify:aws -- --instance i-0123456789abcdef0 --only success,failure --yes
  npm run verify:aws -- --instance i-0123456789abcdef0 --only image --launch-template lt-0123456789abcdef0
  npm run verify:aws -- --local --instance i-…    on a local cloud, without the claims that need AWS

Exit codes: 0 every checked claim is true, 1 a claim failed, 3 an error of AWS or of the setup.`;

interface Options {
  readonly instance: string;
  readonly only?: string;
  readonly yes?: boolean;
  readonly local?: boolean;
  readonly launchTemplate?: string;
}

/** An estimate. @param price dollars an hour of the instance; null: not known */
function costText(claims: readonly Claim[], price: Price | null): string[] {
  const minutes = (of: 'instance' | 'others') => claims.reduce((sum, claim) => sum + (claim.minutes[of] ?? 0), 0);
  const usd =
    price === null
      ? 'its price is not known'
      : `${dollars(costOf(price, minutes('instance') * 60))} at ${priceText(price)}`;
  const others = minutes('others');
  return [
    `They take about ${minutes('instance')} minutes of the instance: ${usd}. runctl itself costs less than 5 cents.`,
    ...(others === 0
      ? []
      : [
          `Two instances from the launch template run for about ${others} minutes together, at the price of its type; a snapshot is kept for some minutes.`,
        ]),
  ];
}

/** What an hour of the instance costs now; null: not known. */
async function priceOf({ ec2, settings }: Account, id: string): Promise<Price | null> {
  const { priced } = await oneInstance({ ec2 }, { value: id, from: '--instance' });
  const clients = { ec2, pricing: (region: string) => new PricingClient({ ...settings, region }) };
  return await pricesOver(clients, () => undefined).priceOf(priced, PRICE_MS);
}

const program = new Command('verify:aws')
  .description('check claims about runctl on an AWS account')
  .requiredOption('--instance <id>', 'the instance to train on')
  .option('--only <names>', 'only these claims, separated by commas')
  .option('--launch-template <id>', 'what instances for the claim image are started from')
  .option('--local', 'leave out the claims that need AWS')
  .option('-y, --yes', 'do not ask for confirmation')
  .option('--profile <name>', 'AWS profile')
  .option('--region <name>', 'AWS region')
  .exitOverride()
  .addHelpText('after', HELP)
  .action((options: Options, self: Command) =>
    withContext(self, async ({ account, terminal, signal }) => {
      const selected = options.only?.split(',') ?? CLAIMS.map(({ name }) => name);
      const { id, type, managed } = await resolveInstance(account, options.instance, { project: PROJECT, user: null });
      const given = { managed: managed === true, launchTemplate: options.launchTemplate ?? null };
      const why = ({ name, onAwsOnly, missing }: Claim) => {
        if (!selected.includes(name)) return 'not selected';
        return options.local && onAwsOnly ? 'it needs AWS' : (missing?.(given) ?? null);
      };
      const claims = CLAIMS.filter((claim) => why(claim) === null);
      terminal.note(`${claims.length} claims on ${id} (${type}) in ${await account.region()}.`);
      for (const line of costText(claims, await priceOf(account, id))) terminal.note(line);
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
          line = `${terminal.colors.green('passed')}  ${claim.name}: ${await claim.check(runs, given)}`;
        } catch (error) {
          if (signal.aborted) throw error;
          failures += 1;
          line = `${terminal.colors.red('FAILED')}  ${claim.name}: ${error instanceof Error ? error.message : error}`;
        }
        terminal.print(`${line} (${formatDuration((performance.now() - startedAt) / 1_000)})`);
      }
      for (const claim of CLAIMS.filter((one) => !claims.includes(one)))
        terminal.print(`not checked: ${claim.name}: ${why(claim)}`);
      return failures === 0 ? EXIT.succeeded : EXIT.runFailed;
    }),
  );

await runProgram(program);
