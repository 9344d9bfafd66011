import { CloudFormationClient, DescribeStacksCommand, type Stack } from '@aws-sdk/client-cloudformation';
import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { S3Client } from '@aws-sdk/client-s3';
import { SchedulerClient } from '@aws-sdk/client-scheduler';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SSMClient } from '@aws-sdk/client-ssm';
import { STSClient } from '@aws-sdk/client-sts';
import { errorName } from '../../aws/errors.ts';
import { CLI_SETTINGS } from '../../aws/settings.ts';
import { OUTPUTS, STACK_NAME } from '../../core/names.ts';
import { setUpError } from '../errors.ts';
import { translateAwsError } from './aws-errors.ts';
import { requireProfile } from './profiles.ts';

/** Options before any command, named as in the AWS CLI. */
export interface AccountOptions {
  readonly profile?: string;
  readonly region?: string;
}

type OutputName = keyof typeof OUTPUTS;
/** The SDK would write its own warnings between the results, such as one of two sources of credentials. */
const QUIET = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };
const HALF_DONE = /(_IN_PROGRESS|_FAILED)$/;

function ignore(): void {}

/**
 * The AWS account as the SDK finds it: flags, environment, profile. A client is created when it is first used.
 * The local cloud needs no code here: its addresses are in the environment.
 */
export class Account {
  /** For clients other than those below. */
  readonly settings: { profile?: string; region?: string };
  readonly #clients = new Map<unknown, { destroy(): void }>();
  #stack: Promise<Stack> | null = null;

  constructor({ profile, region }: AccountOptions) {
    this.settings = { ...(profile === undefined ? {} : { profile }), ...(region === undefined ? {} : { region }) };
  }

  get s3(): S3Client {
    return this.#client(S3Client);
  }
  get sfn(): SFNClient {
    return this.#client(SFNClient);
  }
  get logs(): CloudWatchLogsClient {
    return this.#client(CloudWatchLogsClient);
  }
  get ssm(): SSMClient {
    return this.#client(SSMClient);
  }
  get ec2(): EC2Client {
    return this.#client(EC2Client);
  }
  get scheduler(): SchedulerClient {
    return this.#client(SchedulerClient);
  }
  get sts(): STSClient {
    return this.#client(STSClient);
  }
  get cloudFormation(): CloudFormationClient {
    return this.#client(CloudFormationClient);
  }

  /** @throws CliError when no region is set anywhere */
  async region(): Promise<string> {
    await requireProfile(this.settings.profile);
    try {
      return await this.cloudFormation.config.region();
    } catch (error) {
      throw translateAwsError(error, 'reading the AWS region');
    }
  }

  /** An output of the deployed stack. @throws CliError when there is no stack, or an older one without this output */
  async output(name: OutputName): Promise<string> {
    const { Outputs } = await this.stack();
    const value = Outputs?.find(({ OutputKey }) => OutputKey === OUTPUTS[name])?.OutputValue;
    if (value !== undefined) return value;
    throw setUpError(
      `The stack ${STACK_NAME} has no output ${OUTPUTS[name]}: it was deployed by an older version of runctl.`,
      'Deploy this version: runctl deploy',
    );
  }

  stack(): Promise<Stack> {
    this.#stack ??= this.#describeStack();
    return this.#stack;
  }

  async #describeStack(): Promise<Stack> {
    const region = await this.region();
    try {
      const { Stacks } = await this.cloudFormation.send(new DescribeStacksCommand({ StackName: STACK_NAME }));
      const [stack] = Stacks ?? [];
      if (stack && !HALF_DONE.test(stack.StackStatus ?? '')) return stack;
      // During an update the previous outputs remain valid.
      if (stack?.Outputs?.length) return stack;
    } catch (error) {
      if (errorName(error) !== 'ValidationError') throw translateAwsError(error, 'cloudformation:DescribeStacks');
    }
    throw setUpError(
      `runctl is not deployed in ${region}: the stack ${STACK_NAME} does not exist.`,
      'Deploy it once: runctl deploy. To use another region: --region. To try runctl without AWS: runctl local up',
    );
  }

  destroy(): void {
    for (const client of this.#clients.values()) client.destroy();
  }

  #client<T extends { destroy(): void }>(Client: new (settings: Record<string, unknown>) => T): T {
    const existing = this.#clients.get(Client);
    if (existing) return existing as T;
    const client = new Client({ ...CLI_SETTINGS, logger: QUIET, ...this.settings });
    this.#clients.set(Client, client);
    return client;
  }
}
