import type { EC2Client, Instance } from '@aws-sdk/client-ec2';
import { describeInstances } from '../../aws/instances.ts';
import { parseSelector } from '../../core/workflow/choose-instance.ts';

type Ec2 = Pick<EC2Client, 'send'>;
const GONE = ['terminated', 'shutting-down'];

/** The instances that match `i-…` or `tag:Key=value`, without terminated ones. */
export async function findInstances(ec2: Ec2, selector: string): Promise<Instance[]> {
  return (await describeInstances(ec2, parseSelector(selector))).filter(isPresent);
}

/** All instances, without terminated ones. */
export async function allInstances(ec2: Ec2): Promise<Instance[]> {
  return (await describeInstances(ec2, null)).filter(isPresent);
}

function isPresent(instance: Instance): boolean {
  return !GONE.includes(instance.State?.Name ?? '');
}

export function tagOf(instance: Instance, key: string): string | null {
  return instance.Tags?.find((tag) => tag.Key === key)?.Value ?? null;
}
