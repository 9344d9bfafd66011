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

/** Given before any command: what the AWS CLI calls them too. */
export interface AccountOptions {
  readonly profile?: string;
  readonly region?: string;
}

type OutputName = keyof typeof OUTPUTS;
const HALF_DONE = /(_IN_PROGRESS|_FAILED)$/;

/**
 * The person's AWS account as the SDK finds it: flags, environment, profile. Clients are made when they are asked for.
 * Nothing here knows the local cloud: its addresses stand in the environment.
 */
export class Account {
  /** For clients beside those below. */
  readonly settings: { profile?: string; region?: string };
  readonly #made = new Map<unknown, { destroy(): void }>();
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
    try {
      return await this.cloudFormation.config.region();
    } catch (error) {
      throw translateAwsError(error, 'find the region');
    }
  }

  /** An output of the deployed stack. @throws CliError when there is no stack, or an older one without it */
  async output(name: OutputName): Promise<string> {
    const { Outputs } = await this.stack();
    const value = Outputs?.find(({ OutputKey }) => OutputKey === OUTPUTS[name])?.OutputValue;
    if (value !== undefined) return value;
    throw setUpError(
      `The stack ${STACK_NAME} has no output ${OUTPUTS[name]}: it was deployed by an older runctl.`,
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
      // An update under way leaves the outputs of before in force.
      if (stack?.Outputs?.length) return stack;
    } catch (error) {
      if (errorName(error) !== 'ValidationError') throw translateAwsError(error, 'cloudformation:DescribeStacks');
    }
    throw setUpError(
      `runctl is not deployed in ${region}: there is no stack ${STACK_NAME}.`,
      'Deploy it once: runctl deploy. Another region: --region. To try without AWS: npx runctl local up',
    );
  }

  destroy(): void {
    for (const client of this.#made.values()) client.destroy();
  }

  #client<T extends { destroy(): void }>(Client: new (settings: Record<string, unknown>) => T): T {
    const there = this.#made.get(Client);
    if (there) return there as T;
    const made = new Client({ ...CLI_SETTINGS, ...this.settings });
    this.#made.set(Client, made);
    return made;
  }
}
