import {
  DescribeInstancesCommand,
  type DescribeInstancesCommandInput,
  type EC2Client,
  type Instance,
} from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, type SSMClient } from '@aws-sdk/client-ssm';
import { describeInput, parseSelector, UNKNOWN_INSTANCE } from '../../core/workflow/choose-instance.ts';
import { at, nameOf } from './aws-errors.ts';

type Ec2 = Pick<EC2Client, 'send'>;
const GONE = ['terminated', 'shutting-down'];

/** The account's instances that `i-…` or `tag:Key=value` means, without those that are gone. */
export async function findInstances(ec2: Ec2, wanted: string): Promise<Instance[]> {
  const input = describeInput(parseSelector(wanted));
  return (await at('ec2:DescribeInstances', collect(ec2, input))).filter(isThere);
}

/** All instances that are not gone, for a person who must choose one. */
export async function allInstances(ec2: Ec2): Promise<Instance[]> {
  return (await at('ec2:DescribeInstances', collect(ec2, {}))).filter(isThere);
}

async function collect(ec2: Ec2, input: DescribeInstancesCommandInput): Promise<Instance[]> {
  const found: Instance[] = [];
  let NextToken: string | undefined;
  try {
    do {
      const page = await ec2.send(new DescribeInstancesCommand({ ...input, NextToken }));
      found.push(...(page.Reservations ?? []).flatMap((reservation) => reservation.Instances ?? []));
      NextToken = page.NextToken;
    } while (NextToken);
  } catch (error) {
    if (!UNKNOWN_INSTANCE.includes(nameOf(error))) throw error;
  }
  return found;
}

function isThere(instance: Instance): boolean {
  return !GONE.includes(instance.State?.Name ?? '');
}

export function tagOf(instance: Instance, key: string): string | null {
  return instance.Tags?.find((tag) => tag.Key === key)?.Value ?? null;
}

/** SSM's PingStatus of the instance's agent, or null when SSM does not know the instance. */
export async function pingOf(ssm: Pick<SSMClient, 'send'>, instanceId: string): Promise<string | null> {
  const command = new DescribeInstanceInformationCommand({ Filters: [{ Key: 'InstanceIds', Values: [instanceId] }] });
  const answer = await at('ssm:DescribeInstanceInformation', ssm.send(command));
  return answer.InstanceInformationList?.[0]?.PingStatus ?? null;
}
