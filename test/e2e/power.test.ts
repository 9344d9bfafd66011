import {
  CreateTagsCommand,
  DescribeInstancesCommand,
  EC2Client,
  StartInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
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
const stoppedNow = { id: expect.any(String), state: 'stopped', agent: null, managed: true, runs: [] };
const isStopped = async () => (await state()) === 'stopped' || null;

describe('a managed instance that is stopped', () => {
  it('is started by a run, trains it, and is stopped after it, again and again', async () => {
    await ec2.send(new StopInstancesCommand({ InstanceIds: [cloud.instanceId] }));
    const start = ec2.send(new StartInstancesCommand({ InstanceIds: [cloud.instanceId] }));
    await expect(start).rejects.toMatchObject({ name: 'IncorrectInstanceState' });
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

describe('runctl instance', () => {
  it('starts the instance, refuses to stop it while a run uses it, and stops it', async () => {
    const env = await shellEnvironment();
    const folder = projectFolder('power');
    const instance = (...args: string[]) => runctl(folder, ['instance', ...args, cloud.instanceId, '--json'], env);
    expect(await instance('stop')).toMatchObject({ code: 0 });
    expect(JSON.parse((await instance('status')).stdout)).toMatchObject(stoppedNow);
    const started = JSON.parse((await instance('start')).stdout) as object;
    expect(started).toMatchObject({ state: 'running', agent: 'Online', managed: true, stopAfter: 600 });
    const sleeps = await tarGz({ 'train.py': 'import time; print("begun", flush=True); time.sleep(600)\n' });
    const spec = { archive: await cloud.put('archives/power-sleeps.tar.gz', sleeps), project: 'power' };
    const arn = await cloud.start({ ...spec, instance: cloud.instanceId, stopAfter: 'never' });
    await cloud.entered(arn, 'Watch training');
    const id = arn.split(':').at(-1) ?? '';
    const refused = await instance('stop');
    expect(refused).toMatchObject({ code: 3 });
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { message: expect.stringContaining(id) } });
    expect(await runctl(folder, ['stop', id], env)).toMatchObject({ code: 0 });
    // Its processes have ended; until its results are saved, it counts as active.
    await waitFor(async () => ((await instance('stop')).code === 0 ? true : null), 120);
    expect(await state()).toBe('stopped');
  });
});
