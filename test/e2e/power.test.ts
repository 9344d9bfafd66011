import {
  CreateTagsCommand,
  DescribeInstancesCommand,
  EC2Client,
  StartInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { statePaths } from '../../local/cloud/paths.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { giveNotice } from '../support/cloud/notice.ts';
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

const InstanceIds = () => ({ InstanceIds: [cloud.instanceId] });
async function instance() {
  const { Reservations } = await ec2.send(new DescribeInstancesCommand(InstanceIds()));
  return Reservations?.[0]?.Instances?.[0];
}
const state = async () => (await instance())?.State?.Name;
const stoppedNow = { id: expect.any(String), state: 'stopped', agent: null, managed: true, runs: [] };
const isStopped = async () => (await state()) === 'stopped' || null;
const capacity = (lack?: 'refused' | 'withdrawn') =>
  giveNotice(statePaths(inject('cloudFolder')), cloud.instanceId, lack === undefined ? {} : { capacity: lack });

describe('the local cloud', () => {
  it('starts and stops an instance as EC2 does: by way of other states, with reasons', async () => {
    const launched = (await instance())?.LaunchTime?.getTime() ?? 0;
    const { StoppingInstances } = await ec2.send(new StopInstancesCommand(InstanceIds()));
    expect(StoppingInstances).toMatchObject([
      { PreviousState: { Name: 'running' }, CurrentState: { Name: 'stopping' } },
    ]);
    const refused = { name: 'IncorrectInstanceState', $metadata: { httpStatusCode: 400 } };
    await expect(ec2.send(new StartInstancesCommand(InstanceIds()))).rejects.toMatchObject(refused);
    expect((await ec2.send(new StopInstancesCommand(InstanceIds()))).StoppingInstances).toMatchObject([
      { PreviousState: { Name: 'stopping' }, CurrentState: { Name: 'stopping' } },
    ]);
    await waitFor(isStopped, 60);
    expect(await instance()).toMatchObject({
      StateReason: { Code: 'Client.UserInitiatedShutdown' },
      StateTransitionReason: expect.stringMatching(/^User initiated \(.* GMT\)$/),
    });
    capacity('refused');
    const start = ec2.send(new StartInstancesCommand(InstanceIds()));
    await expect(start).rejects.toMatchObject({ name: 'InsufficientInstanceCapacity' });
    capacity('withdrawn');
    await ec2.send(new StartInstancesCommand(InstanceIds()));
    const { StateReason } =
      (await waitFor(async () => {
        const now = await instance();
        return now?.State?.Name === 'stopped' ? now : null;
      }, 60)) ?? {};
    expect(StateReason?.Code).toBe('Server.InsufficientInstanceCapacity');
    capacity();
    const { StartingInstances } = await ec2.send(new StartInstancesCommand(InstanceIds()));
    expect(StartingInstances).toMatchObject([
      { PreviousState: { Name: 'stopped' }, CurrentState: { Name: 'pending' } },
    ]);
    await waitFor(async () => (await state()) === 'running' || null, 60);
    const started = await instance();
    expect(started?.LaunchTime?.getTime()).toBeGreaterThan(launched);
    expect(started?.StateReason).toBeUndefined();
  });
});

describe('a managed instance that is stopped', () => {
  it('is started by a run, trains it, and is stopped after it, again and again', async () => {
    await ec2.send(new StopInstancesCommand(InstanceIds()));
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

  it('is started when EC2 has capacity again, which it lacks at once, or after it has agreed to start it', async () => {
    await waitFor(isStopped, 240);
    capacity('withdrawn');
    const arn = await cloud.start({ instance: cloud.instanceId, archive, project: 'power', stopAfter: 'never' });
    const waits = (text: string) =>
      waitFor(async () => JSON.stringify(await cloud.history(arn)).includes(text) || null, 120);
    await waits('EC2 has no capacity');
    await waits('Server.InsufficientInstanceCapacity');
    await waitFor(isStopped, 60);
    capacity('refused');
    await waits('InsufficientInstanceCapacity: Insufficient capacity to satisfy instance request.');
    capacity();
    const run = await cloud.finished(arn);
    expect(run).toMatchObject({ status: 'SUCCEEDED' });
    expect(await cloud.log(run.id, 'train')).toBe('trained\n');
  });
});

describe('runctl instance', () => {
  it('starts the instance, refuses to stop it while a run uses it, and stops it', async () => {
    const env = await shellEnvironment();
    const folder = projectFolder('power');
    const command = (...args: string[]) => runctl(folder, ['instance', ...args, cloud.instanceId, '--json'], env);
    expect(await command('stop')).toMatchObject({ code: 0 });
    expect(JSON.parse((await command('status')).stdout)).toMatchObject(stoppedNow);
    const started = JSON.parse((await command('start')).stdout) as object;
    expect(started).toMatchObject({ state: 'running', agent: 'Online', managed: true, stopAfter: 600 });
    const sleeps = await tarGz({ 'train.py': 'import time; print("begun", flush=True); time.sleep(600)\n' });
    const spec = { archive: await cloud.put('archives/power-sleeps.tar.gz', sleeps), project: 'power' };
    const arn = await cloud.start({ ...spec, instance: cloud.instanceId, stopAfter: 'never' });
    await cloud.entered(arn, 'Watch training');
    const id = arn.split(':').at(-1) ?? '';
    const refused = await command('stop');
    expect(refused).toMatchObject({ code: 3 });
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { message: expect.stringContaining(id) } });
    expect(await runctl(folder, ['stop', id], env)).toMatchObject({ code: 0 });
    // Its processes have ended; until its results are saved, it counts as active.
    await waitFor(async () => ((await command('stop')).code === 0 ? true : null), 120);
    expect(await state()).toBe('stopped');
  });
});
