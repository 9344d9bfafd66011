import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { unless, withAwsErrors } from '../../aws/errors.ts';
import { STACK_NAME } from '../../core/names.ts';
import { VERSION } from '../../core/version.ts';
import type { Account } from '../account/account.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, setUpError, usageError } from '../errors.ts';
import { cdkProgram, QUIET_CDK } from './installation.ts';
import { contextOf, synthesize } from './synthesize.ts';

export interface DeployOptions {
  /** `key=value`, as they were typed. */
  readonly settings: readonly string[];
  /** Of what was deleted or changed by hand. */
  readonly revertDrift: boolean;
  /** Do not ask. */
  readonly yes: boolean;
}

/** Where the CDK keeps assets of an account and region. */
const BOOTSTRAP_STACK = 'CDKToolkit';
const PREFIX = 'runctl:';

/** Deploys the stack of this version into the person's account, with the CDK CLI. */
export async function deployStack(context: Context, options: DeployOptions): Promise<ExitCode> {
  const { account, terminal, folder, signal } = context;
  const settings = { ...(await settingsOf(join(folder, 'cdk.json'))), ...parseContext(options.settings) };
  if (!options.yes && !terminal.isInteractive)
    throw usageError(
      'Without a terminal, runctl deploy does not ask whether it may change permissions.',
      'Add --yes to deploy without a question.',
    );
  const work = await mkdtemp(join(tmpdir(), 'runctl-deploy-'));
  try {
    const assembly = join(work, 'cdk.out');
    await terminal.working('Preparing the stack', () =>
      synthesize({ folder: assembly, context: settings, env: process.env, home: work, signal }),
    );
    const region = await account.region();
    const identity = account.sts.send(new GetCallerIdentityCommand({}));
    const { Account: id = '' } = await withAwsErrors('sts:GetCallerIdentity', identity);
    terminal.note(`runctl ${VERSION} for the account ${id}, region ${region}`);
    for (const [key, value] of Object.entries(settings)) terminal.note(`  ${key}  ${JSON.stringify(value)}`);
    const cdk = (args: readonly string[]) => runCdk(args, { account, region, folder: work, signal });
    if (!(await isBootstrapped(account))) {
      terminal.note(`The CDK needs its own stack, ${BOOTSTRAP_STACK}, once for each account and region.`);
      if (
        !options.yes &&
        !(terminal.isInteractive && (await terminal.confirm(`Create the stack ${BOOTSTRAP_STACK}?`, signal)))
      )
        throw usageError('Nothing was deployed.', `Create the stack ${BOOTSTRAP_STACK} first, or give --yes.`);
      await cdk(['bootstrap', `aws://${id}/${region}`]);
    }
    const approval = options.yes ? 'never' : 'broadening';
    const drift = options.revertDrift ? ['--revert-drift'] : [];
    await cdk(['deploy', STACK_NAME, '--app', assembly, '--require-approval', approval, ...drift]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  terminal.note('Deployed. Check an instance: runctl doctor --instance i-…');
  return EXIT.succeeded;
}

/** The settings of runctl in a cdk.json, which may be that of another app. */
async function settingsOf(file: string): Promise<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(await contextOf(file)).filter(([key]) => key.startsWith(PREFIX)));
}

/** `notifyEmails=["a@example.org"]`, with or without `runctl:` → the CDK's context. @throws CliError */
export function parseContext(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 1)
        throw usageError(`${JSON.stringify(pair)} is not key=value.`, 'Write it like this: --context silentMinutes=90');
      const key = pair.slice(0, equals);
      return [key.startsWith(PREFIX) ? key : PREFIX + key, pair.slice(equals + 1)];
    }),
  );
}

async function isBootstrapped(account: Account): Promise<boolean> {
  const description = account.cloudFormation.send(new DescribeStacksCommand({ StackName: BOOTSTRAP_STACK }));
  return (await unless(['ValidationError'], 'cloudformation:DescribeStacks', description)) !== null;
}

interface CdkRun {
  readonly account: Account;
  readonly region: string;
  /** Where it runs: a cdk.json in the person's folder belongs to an app of theirs. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

/** Runs the CDK CLI with the person's terminal. @throws CliError when it fails */
async function runCdk(args: readonly string[], { account, region, folder, signal }: CdkRun): Promise<void> {
  const { profile } = account.settings;
  const all = [...args, '--no-notices', ...(profile === undefined ? [] : ['--profile', profile])];
  const child = spawn(process.execPath, [cdkProgram(), ...all], {
    cwd: folder,
    env: { ...process.env, ...QUIET_CDK, AWS_REGION: region, AWS_DEFAULT_REGION: region },
    stdio: 'inherit',
  });
  // Ctrl-C of a terminal reaches it as well; a signal to this process alone does not.
  const stop = () => child.kill('SIGINT');
  signal.addEventListener('abort', stop, { once: true });
  try {
    const [code] = await once(child, 'close');
    signal.throwIfAborted();
    if (code !== 0)
      throw setUpError(
        `cdk ${args[0]} ended with exit code ${code}.`,
        'Its messages are above. A failed deployment is rolled back.',
      );
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
