import { mkdir } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { DescribeInstancesCommand, EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { dummyCredentials, region } from './credentials.ts';
import { LocalError } from './errors.ts';
import type { StatePaths } from './paths.ts';

/** The demo's project: `tag:Project=<project>` is what a run looks for when nobody names an instance. */
export const demoProject = 'digits';
const name = 'runctl-local';

/** Registers the one local instance, unless it is there and running. @returns its id. */
export async function registerInstance(endpoint: string, paths: StatePaths): Promise<string> {
  const client = new EC2Client({ endpoint, region, credentials: dummyCredentials });
  try {
    const home = join(paths.instance, 'home');
    const root = join(paths.instance, 'root');
    await Promise.all([home, root].map((folder) => mkdir(folder, { recursive: true })));
    const present = await client.send(
      new DescribeInstancesCommand({
        Filters: [
          { Name: 'tag:Name', Values: [name] },
          { Name: 'instance-state-name', Values: ['running'] },
        ],
      }),
    );
    const known = present.Reservations?.flatMap((reservation) => reservation.Instances ?? []).at(0)?.InstanceId;
    if (known !== undefined) return known;
    const tags = {
      Name: name,
      Project: demoProject,
      runctl: 'enabled',
      'runctl:root': root,
      'runctl:home': home,
      'runctl:user': userInfo().username,
    };
    const started = await client.send(
      new RunInstancesCommand({
        ImageId: 'ami-00000000000000000',
        InstanceType: 't3.small',
        MinCount: 1,
        MaxCount: 1,
        TagSpecifications: [
          { ResourceType: 'instance', Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) },
        ],
      }),
    );
    const id = started.Instances?.at(0)?.InstanceId;
    if (id === undefined)
      throw new LocalError('The emulator started no instance.', 'Run `npx runctl local down`, then up again.');
    return id;
  } finally {
    client.destroy();
  }
}
