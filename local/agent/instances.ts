import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import type { CloudCredentials } from '../cloud/credentials.ts';

export interface Instance {
  readonly id: string;
  readonly state: string;
  readonly windows: boolean;
  readonly privateIp: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** Lists the instances that the emulator has. */
export type ListInstances = () => Promise<readonly Instance[]>;

export function instancesOf(upstream: string, region: string, credentials: CloudCredentials): ListInstances {
  const client = new EC2Client({ endpoint: upstream, region, credentials });
  return async () => {
    const instances: Instance[] = [];
    let NextToken: string | undefined;
    do {
      const page = await client.send(
        new DescribeInstancesCommand({ ...(NextToken === undefined ? {} : { NextToken }) }),
      );
      for (const one of page.Reservations?.flatMap((reservation) => reservation.Instances ?? []) ?? []) {
        instances.push({
          id: one.InstanceId ?? '',
          state: one.State?.Name ?? 'unknown',
          windows: one.Platform?.toLowerCase() === 'windows',
          privateIp: one.PrivateIpAddress ?? '',
          tags: Object.fromEntries((one.Tags ?? []).map((tag) => [tag.Key ?? '', tag.Value ?? ''])),
        });
      }
      NextToken = page.NextToken === '' ? undefined : page.NextToken;
    } while (NextToken !== undefined);
    return instances;
  };
}
