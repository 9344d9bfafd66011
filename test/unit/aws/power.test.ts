import type { EC2Client } from '@aws-sdk/client-ec2';
import { describe, expect, it } from 'vitest';
import { powerOver } from '../../../aws/power.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

const ask = (reply: object | Error) => {
  const { client, sent } = fakeClient<EC2Client>({ StartInstancesCommand: () => reply });
  return { answer: powerOver(client).start('i-1'), sent };
};

describe('starting an instance', () => {
  it('asks EC2 for that instance', async () => {
    const { answer, sent } = ask({});
    expect(await answer).toBeNull();
    expect(sent.map(({ input }) => input)).toEqual([{ InstanceIds: ['i-1'] }]);
  });

  it.each([
    ['InsufficientInstanceCapacity', 'no-capacity'],
    ['Server.InsufficientInstanceCapacity', 'no-capacity'],
    ['VcpuLimitExceeded', 'no-capacity'],
    ['IncorrectInstanceState', 'changed'],
    ['IncorrectSpotRequestState', 'changed'],
    ['UnsupportedOperation', 'other'],
  ])('%s is %s', async (name, kind) => {
    // EC2 answers 500 where it has no room, which is not a fault to retry as such.
    const error = Object.assign(awsError(name, 'why'), {
      $metadata: { httpStatusCode: name.includes('Insufficient') ? 500 : 400 },
    });
    expect(await ask(error).answer).toEqual({ kind, message: expect.stringContaining('why') });
  });

  it.each([
    ['UnauthorizedOperation', 'AccessDenied'],
    ['RequestLimitExceeded', 'ServiceUnavailable'],
  ])('%s is an error: %s', async (name, known) => {
    await expect(ask(awsError(name)).answer).rejects.toMatchObject({ name: known });
  });
});

describe('stopping an instance', () => {
  const stop = (reply: object | Error) => {
    const { client, sent } = fakeClient<EC2Client>({ StopInstancesCommand: () => reply });
    return { done: powerOver(client).stop('i-1'), sent };
  };

  it('asks EC2 for that instance', async () => {
    const { done, sent } = stop({});
    await done;
    expect(sent.map(({ input }) => input)).toEqual([{ InstanceIds: ['i-1'] }]);
    await expect(stop(awsError('UnauthorizedOperation')).done).rejects.toMatchObject({ name: 'AccessDenied' });
  });
});

describe('a shutdown from inside', () => {
  const behavior = (Value: string) => {
    const reply = { InstanceInitiatedShutdownBehavior: { Value } };
    const { client, sent } = fakeClient<EC2Client>({ DescribeInstanceAttributeCommand: () => reply });
    return { answer: powerOver(client).stopsAtShutdown('i-1'), sent };
  };

  it('stops the instance or terminates it, as its attribute says', async () => {
    const { answer, sent } = behavior('stop');
    expect(await answer).toBe(true);
    expect(sent[0]?.input).toEqual({ InstanceId: 'i-1', Attribute: 'instanceInitiatedShutdownBehavior' });
    expect(await behavior('terminate').answer).toBe(false);
  });
});
