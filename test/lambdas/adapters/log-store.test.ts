import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { describe, expect, it } from 'vitest';
import { logStoreOver } from '../../../lambdas/adapters/log-store.ts';
import { awsError, fakeClient, type Reply } from '../../fakes/sdk-client.ts';

/** One fake plays both clients; `put` etc. answer the call of that number. */
function store(replies: { put?: (call: number) => Reply; create?: () => Reply; get?: (call: number) => Reply }) {
  const reading = fakeClient<CloudWatchLogsClient>({
    CreateLogStreamCommand: () => replies.create?.() ?? {},
    GetLogEventsCommand: (_, call) => replies.get?.(call) ?? {},
  });
  const writing = fakeClient<CloudWatchLogsClient>({ PutLogEventsCommand: (_, call) => replies.put?.(call) ?? {} });
  const logs = logStoreOver({ logs: reading.client, once: writing.client }, '/runctl/runs');
  return { logs, puts: writing.sent, others: reading.sent };
}

describe('put', () => {
  it('writes all messages at one time, in order', async () => {
    const { logs, puts } = store({});
    await logs.put('r/train', ['a\n', 'b'], 1000);
    expect(puts.map((put) => put.input)).toEqual([
      {
        logGroupName: '/runctl/runs',
        logStreamName: 'r/train',
        logEvents: [
          { message: 'a\n', timestamp: 1000 },
          { message: 'b', timestamp: 1000 },
        ],
      },
    ]);
  });

  it('creates a stream that is not there, then writes', async () => {
    const { logs, puts, others } = store({ put: (call) => (call === 0 ? awsError('ResourceNotFoundException') : {}) });
    await logs.put('r/train', ['a'], 1);
    expect(others.map((command) => command.name)).toEqual(['CreateLogStreamCommand']);
    expect(puts.length).toBe(2);
  });

  it('writes also when another attempt created the stream meanwhile', async () => {
    const { logs, puts } = store({
      put: (call) => (call === 0 ? awsError('ResourceNotFoundException') : {}),
      create: () => awsError('ResourceAlreadyExistsException'),
    });
    await logs.put('r/train', ['a'], 1);
    expect(puts.length).toBe(2);
  });

  it('splits what is too much for one call', async () => {
    const { logs, puts } = store({});
    await logs.put(
      'r/train',
      Array.from({ length: 10_001 }, () => '\n'),
      1,
    );
    expect(puts.map((put) => (put.input.logEvents as unknown[]).length)).toEqual([10_000, 1]);
  });

  it.each([
    ['too old', { tooOldLogEventEndIndex: 1 }],
    ['too new', { tooNewLogEventStartIndex: 0 }],
    ['expired', { expiredLogEventEndIndex: 1 }],
  ])(
    'does not take events that were rejected as %s for written, although the call succeeded',
    async (_, rejectedLogEventsInfo) => {
      const { logs } = store({ put: () => ({ rejectedLogEventsInfo }) });
      await expect(logs.put('r/train', ['a'], 1)).rejects.toMatchObject({ name: 'ServiceUnavailable' });
    },
  );

  it.each([
    ['ThrottlingException', 'ServiceUnavailable'],
    ['TimeoutError', 'ServiceUnavailable'],
    ['AccessDeniedException', 'AccessDenied'],
  ])('%s is %s, after one call: what may have been written is not written again', async (thrown, name) => {
    const { logs, puts } = store({ put: () => awsError(thrown) });
    await expect(logs.put('r/train', ['a'], 1)).rejects.toMatchObject({ name });
    expect(puts.length).toBe(1);
  });

  it('says so when the log group is gone too', async () => {
    const { logs } = store({
      put: () => awsError('ResourceNotFoundException'),
      create: () => awsError('ResourceNotFoundException', 'The specified log group does not exist.'),
    });
    await expect(logs.put('r/train', ['a'], 1)).rejects.toMatchObject({
      message: expect.stringContaining('log group does not exist'),
    });
  });
});

describe('bytesAt', () => {
  const event = (message: string, timestamp = 5) => ({ message, timestamp });

  it('adds up the bytes of that time alone, over pages, empty ones too, until the token repeats', async () => {
    const pages = [
      { events: [event('é\n'), event('later', 6)], nextForwardToken: 't1' },
      { events: [], nextForwardToken: 't2' },
      { events: [event('ab')], nextForwardToken: 't3' },
      { events: [], nextForwardToken: 't3' },
    ];
    const { logs, others } = store({ get: (call) => pages[call] ?? awsError('TooManyCalls') });
    expect(await logs.bytesAt('r/train', 5)).toBe(5);
    expect(others.map((command) => command.input.nextToken)).toEqual([undefined, 't1', 't2', 't3']);
    expect(others[0]?.input).toMatchObject({ startTime: 5, endTime: 6, startFromHead: true });
  });

  it('is 0 when there is no stream yet', async () => {
    expect(await store({ get: () => awsError('ResourceNotFoundException') }).logs.bytesAt('r/train', 5)).toBe(0);
  });

  it('does not guess when it cannot read', async () => {
    const { logs } = store({ get: () => awsError('ThrottlingException') });
    await expect(logs.bytesAt('r/train', 5)).rejects.toMatchObject({ name: 'ServiceUnavailable' });
  });
});
