import { basename, join } from 'node:path';
import { EC2Client, TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import { expect } from 'vitest';
import { localSettings } from '../../../local/cloud/clients.ts';
import type { CloudAccess } from '../../../local/cloud/credentials.ts';
import { keepPackageCaches, registerInstance } from '../../../local/cloud/instance.ts';
import { killInstanceProcesses } from '../../../local/cloud/instance-processes.ts';
import type { StatePaths } from '../../../local/cloud/paths.ts';

/** The instance of one test file: files that run beside each other meet neither on its disk nor in its queue. */
export interface OwnInstance {
  readonly id: string;
  /** Its tag `Project`, and so the folder under `uploads/` whose runs find it: the name of the test file. */
  readonly project: string;
  /** Its disk: `root` and `home`. */
  readonly folder: string;
}

/** By the address of their cloud, and by what they are beside the first. */
const own = new Map<string, { cloud: CloudAccess; instances: Map<string, Promise<OwnInstance>> }>();

/** Registers this test file's instance in a cloud, once; `beside`: another one of that name, for a test that needs it alone. */
export function ownInstance(cloud: CloudAccess, paths: StatePaths, beside = ''): Promise<OwnInstance> {
  const there = own.get(cloud.endpoint)?.instances ?? new Map<string, Promise<OwnInstance>>();
  own.set(cloud.endpoint, { cloud, instances: there });
  const instance = there.get(beside) ?? register(cloud, paths, beside);
  there.set(beside, instance);
  return instance;
}

/** The whole cloud goes, and its instances with it. */
export function forgetInstance(endpoint: string): void {
  own.delete(endpoint);
}

async function register(cloud: CloudAccess, paths: StatePaths, beside: string): Promise<OwnInstance> {
  const file = basename(expect.getState().testPath ?? '', '.test.ts');
  const project = beside === '' ? file : `${file}-${beside}`;
  const folder = join(paths.instance, project);
  const id = await registerInstance(cloud, { name: project, project, folder });
  await keepPackageCaches(join(folder, 'home'), paths);
  return { id, project, folder };
}

/** Takes this test file's instances away, with what still runs on them. */
export async function leaveInstances(): Promise<void> {
  for (const { cloud, instances } of own.values()) {
    const InstanceIds = (await Promise.all(instances.values())).map(({ id }) => id);
    const client = new EC2Client(localSettings(cloud));
    await client.send(new TerminateInstancesCommand({ InstanceIds }));
    client.destroy();
    for (const id of InstanceIds) await killInstanceProcesses(id);
  }
}
