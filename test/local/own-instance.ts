import { basename, join } from 'node:path';
import { EC2Client, TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import { expect } from 'vitest';
import { localSettings } from '../../local/clients.ts';
import { keepPackageCaches, registerInstance } from '../../local/instance.ts';
import { killInstanceProcesses } from '../../local/instance-processes.ts';
import type { StatePaths } from '../../local/paths.ts';

/** The instance of one test file: files that run beside each other meet neither on its disk nor in its queue. */
export interface OwnInstance {
  readonly id: string;
  /** Its tag `Project`, and so the folder under `uploads/` whose runs find it: the name of the test file. */
  readonly project: string;
  /** Its disk: `root` and `home`. */
  readonly folder: string;
}

/** By the address of their cloud. */
const own = new Map<string, Promise<OwnInstance>>();

/** Registers this test file's instance in a cloud, once. */
export function ownInstance(endpoint: string, paths: StatePaths): Promise<OwnInstance> {
  const instance = own.get(endpoint) ?? register(endpoint, paths);
  own.set(endpoint, instance);
  return instance;
}

/** The whole cloud goes, and its instance with it. */
export function forgetInstance(endpoint: string): void {
  own.delete(endpoint);
}

async function register(endpoint: string, paths: StatePaths): Promise<OwnInstance> {
  const project = basename(expect.getState().testPath ?? '', '.test.ts');
  const folder = join(paths.instance, project);
  const id = await registerInstance(endpoint, { name: project, project, folder });
  await keepPackageCaches(join(folder, 'home'), paths);
  return { id, project, folder };
}

/** Takes this test file's instances away, with what still runs on them. */
export async function leaveInstances(): Promise<void> {
  for (const [endpoint, instance] of own) {
    const { id } = await instance;
    const client = new EC2Client(localSettings(endpoint));
    await client.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    client.destroy();
    await killInstanceProcesses(id);
  }
}
