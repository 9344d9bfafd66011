import type { EC2Client } from '@aws-sdk/client-ec2';
import type { S3Client } from '@aws-sdk/client-s3';
import type { SFNClient } from '@aws-sdk/client-sfn';
import type { SSMClient } from '@aws-sdk/client-ssm';
import { describe, expect, it } from 'vitest';
import { archiveStoreOver } from '../../../aws/archive-store.ts';
import { executionsOver } from '../../../aws/executions.ts';
import { instancesOver } from '../../../aws/instances.ts';
import { MACHINE_ARN } from '../../support/fakes/samples.ts';
import { awsError, fakeClient, type Reply } from '../../support/fakes/sdk-client.ts';

const location = { bucket: 'b', key: 'uploads/a b.tar.gz', versionId: 'v1' };
const unpinned = { ...location, versionId: null };

function archives(reply: () => Reply) {
  const fake = fakeClient<S3Client>({ GetObjectCommand: reply, HeadObjectCommand: reply });
  const store = archiveStoreOver(fake.client, (command) => Promise.resolve(`https://s3/${command.input.VersionId}`));
  return { store, sent: fake.sent };
}

describe('the archive store', () => {
  it('opens the requested version and returns its metadata', async () => {
    const object = { VersionId: 'v1', ContentLength: 7, Metadata: { runctl: '{}' }, Body: [Buffer.from('a')] };
    const { store, sent } = archives(() => object);
    const opened = await store.open(location);
    expect(opened).toMatchObject({ versionId: 'v1', size: 7, metadata: '{}' });
    for await (const chunk of opened.body) expect(chunk).toEqual(Buffer.from('a'));
    expect(sent[0]?.input).toEqual({ Bucket: 'b', Key: 'uploads/a b.tar.gz', VersionId: 'v1' });
  });

  it('pins the version that the service returned when none was requested', async () => {
    const { store, sent } = archives(() => ({ VersionId: 'v9', Body: [] }));
    expect(await store.open(unpinned)).toMatchObject({ versionId: 'v9', metadata: null });
    expect(sent[0]?.input).not.toHaveProperty('VersionId');
    expect(await store.currentVersion(unpinned)).toBe('v9');
    expect(await archives(() => ({})).store.currentVersion(unpinned)).toBeNull();
  });

  it('signs a URL for the pinned version', async () => {
    expect(await archives(() => ({})).store.presign(location)).toBe('https://s3/v1');
  });

  it.each([
    ['NoSuchKey', 'ArchiveNotFound'],
    ['NoSuchVersion', 'ArchiveNotFound'],
    ['NotFound', 'ArchiveNotFound'],
    ['MethodNotAllowed', 'ArchiveNotFound'], // The version is a delete marker.
    ['AccessDenied', 'AccessDenied'],
    ['SlowDown', 'ServiceUnavailable'],
  ])('%s is %s, and names the object', async (thrown, name) => {
    const { store } = archives(() => awsError(thrown));
    const named = { name, message: expect.stringContaining('s3://b/uploads/a b.tar.gz') };
    await expect(store.open(location)).rejects.toMatchObject(named);
    await expect(store.currentVersion(location)).rejects.toMatchObject(named);
  });
});

describe('executions', () => {
  const states = (reply: () => Reply) => {
    const fake = fakeClient<SFNClient>({ StartExecutionCommand: reply, DescribeExecutionCommand: reply });
    return { executions: executionsOver(fake.client), sent: fake.sent };
  };

  it('starts a run by its name, and knows one that has been started', async () => {
    const { executions, sent } = states(() => ({}));
    expect(await executions.start(MACHINE_ARN, 'n', { archive: 's3://b/k' })).toBe(true);
    expect(sent[0]?.input).toEqual({ stateMachineArn: MACHINE_ARN, name: 'n', input: '{"archive":"s3://b/k"}' });
    expect(await states(() => awsError('ExecutionAlreadyExists')).executions.start(MACHINE_ARN, 'n', {})).toBe(false);
    await expect(
      states(() => awsError('AccessDeniedException')).executions.start(MACHINE_ARN, 'n', {}),
    ).rejects.toMatchObject({
      name: 'AccessDenied',
    });
  });

  it.each([
    ['RUNNING', false],
    ['PENDING_REDRIVE', false],
    ['SUCCEEDED', true],
    ['FAILED', true],
    ['ABORTED', true],
    ['TIMED_OUT', true],
  ])('%s: has ended %s', async (status, ended) => {
    expect(await states(() => ({ status })).executions.hasEnded('arn')).toBe(ended);
  });

  it('takes an execution that AWS has forgotten for ended, and no failure for an answer', async () => {
    expect(await states(() => awsError('ExecutionDoesNotExist')).executions.hasEnded('arn')).toBe(true);
    await expect(states(() => awsError('ThrottlingException')).executions.hasEnded('arn')).rejects.toMatchObject({
      name: 'ServiceUnavailable',
    });
  });
});

describe('what a state gave last', () => {
  const exited = (name: string, output: object) => ({
    type: 'TaskStateExited' as const,
    stateExitedEventDetails: { name, output: JSON.stringify(output) },
  });
  const last = (...events: object[]) => {
    const { client } = fakeClient<SFNClient>({ GetExecutionHistoryCommand: () => ({ events }) });
    return executionsOver(client).lastOutput('arn', 'Poll logs');
  };

  it('is what it gave itself: an error that its Catch took says nothing of how far a watch came', async () => {
    const caught = exited('Poll logs', { Error: 'InstanceLost', Cause: 'x' });
    expect(await last(caught, exited('Wait', {}), exited('Poll logs', { polls: 9 }), exited('Poll logs', {}))).toBe(
      '{"polls":9}',
    );
    expect(await last(caught)).toBeNull();
  });
});

describe('instances', () => {
  function ec2(pages: (call: number) => Reply, information: Reply = {}) {
    const machines = fakeClient<EC2Client>({ DescribeInstancesCommand: (_, call) => pages(call) });
    const agents = fakeClient<SSMClient>({ DescribeInstanceInformationCommand: () => information });
    return { instances: instancesOver(machines.client, agents.client), sent: machines.sent, asked: agents.sent };
  }
  const page = (InstanceId: string, NextToken?: string) => ({
    Reservations: [{ Instances: [{ InstanceId, State: { Name: 'running' } }] }],
    NextToken,
  });

  it('finds by tag, over pages', async () => {
    const { instances, sent } = ec2((call) => (call === 0 ? page('i-1', 'next') : page('i-2')));
    const found = await instances.find({ tag: 'Project', value: 'a=b' });
    expect(found.map(({ id }) => id)).toEqual(['i-1', 'i-2']);
    expect(sent.map(({ input }) => input)).toEqual([
      { Filters: [{ Name: 'tag:Project', Values: ['a=b'] }], NextToken: undefined },
      { Filters: [{ Name: 'tag:Project', Values: ['a=b'] }], NextToken: 'next' },
    ]);
  });

  it('finds by id, with tags and platform', async () => {
    const one = {
      InstanceId: 'i-1',
      State: { Name: 'stopped' },
      Platform: 'Windows',
      InstanceType: 't3',
      ImageId: 'ami',
      Tags: [{ Key: 'a', Value: 'b' }],
    };
    const { instances, sent } = ec2(() => ({ Reservations: [{ Instances: [one] }] }));
    expect(await instances.find({ id: 'i-1' })).toMatchObject([
      { id: 'i-1', state: 'stopped', platform: 'windows', type: 't3', image: 'ami', tags: { a: 'b' } },
    ]);
    expect(sent[0]?.input).toEqual({ InstanceIds: ['i-1'] });
  });

  it.each(['InvalidInstanceID.NotFound', 'InvalidInstanceID.Malformed'])(
    '%s: the result is empty, not an error',
    async (thrown) => {
      expect(await ec2(() => awsError(thrown)).instances.find({ id: 'i-1' })).toEqual([]);
    },
  );

  it.each([
    ['UnauthorizedOperation', 'AccessDenied'],
    ['RequestLimitExceeded', 'ServiceUnavailable'],
  ])('%s is %s', async (thrown, name) => {
    await expect(ec2(() => awsError(thrown)).instances.find({ id: 'i-1' })).rejects.toMatchObject({ name });
  });

  it('does not believe a status of the agent from before the instance started', async () => {
    const online = { InstanceInformationList: [{ PingStatus: 'Online', LastPingDateTime: new Date(1_000) }] };
    const ping = (since: number | null) => ec2(() => ({}), online).instances.ping('i-1', since);
    expect([await ping(null), await ping(1_000), await ping(1_001)]).toEqual(['Online', 'Online', null]);
  });

  it('asks SSM whether the agent is connected', async () => {
    const { instances, asked } = ec2(() => ({}), { InstanceInformationList: [{ PingStatus: 'Online' }] });
    expect(await instances.ping('i-1')).toBe('Online');
    expect(asked[0]?.input).toEqual({ Filters: [{ Key: 'InstanceIds', Values: ['i-1'] }] });
    expect(await ec2(() => ({}), { InstanceInformationList: [] }).instances.ping('i-1')).toBeNull();
    await expect(ec2(() => ({}), awsError('AccessDeniedException')).instances.ping('i-1')).rejects.toMatchObject({
      name: 'AccessDenied',
    });
  });
});
