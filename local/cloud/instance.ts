import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { DescribeInstancesCommand, EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { localSettings } from './clients.ts';
import type { CloudAccess } from './credentials.ts';
import { LocalError } from './errors.ts';
import { packageCaches, type StatePaths } from './paths.ts';

/** The demo's project: a run that names no instance uses the one with `tag:Project=<project>`. */
export const demoProject = 'digits';

export interface LocalInstance {
  /** Its tag `Name`, which identifies it. */
  readonly name: string;
  readonly project: string;
  /** Its disk: the folder that contains `root` and `home` of the runner. */
  readonly folder: string;
}

/** The instance that `up` registers. */
export function defaultInstance(paths: StatePaths): LocalInstance {
  return { name: 'runctl-local', project: demoProject, folder: paths.instance };
}

/** Registers a local instance, unless it is already running. @returns its id */
export async function registerInstance(access: CloudAccess, { name, project, folder }: LocalInstance): Promise<string> {
  const client = new EC2Client(localSettings(access));
  try {
    const home = join(folder, 'home');
    const root = join(folder, 'root');
    await Promise.all([home, root].map((path) => mkdir(path, { recursive: true })));
    // The jobs of a local instance are the current user's, also where that is root: the runner refuses root's otherwise.
    await writeFile(join(root, 'allow-root'), '');
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
      Project: project,
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
      throw new LocalError(
        'MiniStack did not start the local instance.',
        'Run `runctl local down`, then `runctl local up`.',
      );
    return id;
  } finally {
    client.destroy();
  }
}

/**
 * Keeps the downloads of uv and pip between clouds. An instance's home is new each time, so that
 * installs are complete, but only the first one downloads.
 */
export async function keepPackageCaches(home: string, paths: StatePaths): Promise<void> {
  const caches = packageCaches(paths);
  await mkdir(caches, { recursive: true });
  try {
    await symlink(caches, join(home, '.cache'));
  } catch (error) {
    // A cache exists already: a link from an earlier call, or a folder that a run created.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
