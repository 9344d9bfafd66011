import type { EC2Client } from '@aws-sdk/client-ec2';
import type { SSMClient } from '@aws-sdk/client-ssm';
import { describe, expect, it } from 'vitest';
import { resolveInstance } from '../../../cli/account/instance.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

const ID = 'i-0123456789abcdef0';
const REQUEST = { project: 'demo', user: null };

/** An account with one instance, and an agent that answers so. */
function account(
  state: string | null,
  { tags = ['enabled'], managed = false, ping = 'Online' as string | null, others = 0 } = {},
) {
  const instance = (InstanceId: string) => ({
    InstanceId,
    State: { Name: state ?? 'running' },
    InstanceType: 'g5.xlarge',
    Tags: [
      ...tags.map((Value) => ({ Key: 'runctl', Value })),
      ...(managed ? [{ Key: 'runctl:power', Value: 'managed' }] : []),
    ],
  });
  const { client: ec2 } = fakeClient<EC2Client>({
    DescribeInstancesCommand: ({ InstanceIds, Filters }) => {
      if (InstanceIds) return state === null ? awsError('InvalidInstanceID.NotFound') : reserved([instance(ID)]);
      const [{ Name }] = Filters as [{ Name: string }];
      const found = Name === 'tag:runctl' ? others : state === null ? 0 : 1;
      return reserved(Array.from({ length: found }, () => instance(ID)));
    },
  });
  const { client: ssm } = fakeClient<SSMClient>({
    DescribeInstanceInformationCommand: () => ({
      InstanceInformationList: ping === null ? [] : [{ PingStatus: ping }],
    }),
  });
  return { ec2, ssm };
}
const reserved = (Instances: object[]) => ({ Reservations: [{ Instances }] });

describe('the instance of a run, before anything is uploaded', () => {
  it('is found by id and by tag', async () => {
    for (const wanted of [ID, 'tag:Project=nets'])
      expect(await resolveInstance(account('running'), wanted, REQUEST)).toMatchObject({ id: ID, type: 'g5.xlarge' });
  });

  it('may be stopped when the run may start it', async () => {
    for (const state of ['stopped', 'stopping', 'pending'])
      expect(await resolveInstance(account(state, { managed: true }), ID, REQUEST)).toMatchObject({ isStarted: true });
    expect(await resolveInstance(account('running', { managed: true }), ID, REQUEST)).not.toHaveProperty('isStarted');
    await expect(resolveInstance(account('stopped', { managed: true, tags: [] }), ID, REQUEST)).rejects.toMatchObject({
      exitCode: 3,
    });
  });

  it.each([
    ['not there, by tag', account(null), 'tag:Project=nets', /--tags Key=runctl,Value=enabled Key=Project,Value=nets/],
    [
      'not there, by id, and another is',
      account(null, { others: 1 }),
      ID,
      new RegExp(`runctl=enabled: ${ID} \\(g5.xlarge`),
    ],
    ['stopped', account('stopped'), ID, new RegExp(`aws ec2 start-instances --instance-ids ${ID}`)],
    ['not tagged', account('running', { tags: [] }), ID, new RegExp(`create-tags --resources ${ID} --tags Key=runctl`)],
    ['not known to SSM', account('running', { ping: null }), ID, /AmazonSSMManagedInstanceCore/],
    ['out of touch', account('running', { ping: 'ConnectionLost' }), ID, /runctl doctor/],
  ])('%s: the next step is said', async (_, clients, wanted, next) => {
    await expect(resolveInstance(clients, wanted, REQUEST)).rejects.toMatchObject({
      exitCode: 3,
      next: expect.stringMatching(next),
    });
  });
});
