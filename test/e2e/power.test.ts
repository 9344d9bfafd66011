import { CreateTagsCommand, DescribeInstancesCommand, EC2Client, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { waitFor } from '../support/instance/processes.ts';
import { tarGz } from './archives.ts';

let cloud: Cloud;
let ec2: EC2Client;
let archive: string;
beforeAll(async () => {
  cloud = await Cloud.connect();
  ec2 = cloud.client(EC2Client);
  archive = await cloud.put('archives/power.tar.gz', await tarGz({ 'train.py': 'print("trained", flush=True)\n' }));
  const Tags = [{ Key: 'runctl:power', Value: 'managed' }];
  await ec2.send(new CreateTagsCommand({ Resources: [cloud.instanceId], Tags }));
});
afterAll(() => ec2.destroy());

async function state(): Promise<string | undefined> {
  const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [cloud.instanceId] }));
  return Reservations?.[0]?.Instances?.[0]?.State?.Name;
}
const isStopped = async () => (await state()) === 'stopped' || null;

describe('a managed instance that is stopped', () => {
  it('is started by a run, trains it, and is stopped after it, again and again', async () => {
    await ec2.send(new StopInstancesCommand({ InstanceIds: [cloud.instanceId] }));
    for (const turn of ['first', 'second']) {
      await waitFor(isStopped, 60);
      const spec = { instance: cloud.instanceId, archive, project: 'power', stopAfter: '2s' };
      const run = await cloud.finished(await cloud.start(spec));
      expect(run, turn).toMatchObject({ status: 'SUCCEEDED' });
      expect(run.states, turn).toContain('Wait for instance to start');
      expect(await cloud.log(run.id, 'train'), turn).toBe('trained\n');
      // The second run finds an instance that was marked before its boot.
      await waitFor(isStopped, 240);
    }
  });
});
