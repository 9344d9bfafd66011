import { basename, join } from 'node:path';
import { EC2Client, TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import { expect } from 'vitest';
import { unless } from '../../../aws/errors.ts';
import { localSettings } from '../../../local/cloud/clients.ts';
import type { CloudAccess } from '../../../local/cloud/credentials.ts';
import { keepPackageCaches, registerInstance } from '../../../local/cloud/instance.ts';
import { killInstanceProcesses } from '../../../local/cloud/instance-processes.ts';
import type { StatePaths } from '../../../local/cloud/paths.ts';

/** The instance of one test file, so that test files share neither its disk nor its queue. */
export interface OwnInstance {
  readonly id: string;
  /** Its tag `Project`, which runs from `uploads/<project>/` use to find it: the name of the test file. */
  readonly project: string;
  /** Its disk: `root` and `home`. */
  readonly folder: string;
}

/** The instances of this test file, by the address of their cloud and the name from `beside`. */
const own = new Map<string, { cloud: CloudAccess; instances: Map<string, Promise<OwnInstance>> }>();

/** Registers this test file's instance in a cloud, once. `beside` is the name of another one, for a single test. */
export function ownInstance(cloud: CloudAccess, paths: StatePaths, beside = ''): Promise<OwnInstance> {
  const existing = own.get(cloud.endpoint)?.instances ?? new Map<string, Promise<OwnInstance>>();
  own.set(cloud.endpoint, { cloud, instances: existing });
  const instance = existing.get(beside) ?? register(cloud, paths, beside);
  existing.set(beside, instance);
  return instance;
}

/** Forgets the instances of a cloud that is removed. */
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

/** Removes this test file's instances and their processes. */
export async function leaveInstances(): Promise<void> {
  for (const { cloud, instances } of own.values()) {
    const InstanceIds = (await Promise.all(instances.values())).map(({ id }) => id);
    const client = new EC2Client(localSettings(cloud));
    for (const id of InstanceIds) {
      const sent = client.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
      // MiniStack forgets an instance 60 s after a test has terminated it; EC2 keeps it for about an hour.
      await unless(['InvalidInstanceID.NotFound'], `ec2:TerminateInstances of ${id}`, sent);
    }
    client.destroy();
    for (const id of InstanceIds) await killInstanceProcesses(id);
  }
  own.clear();
}
