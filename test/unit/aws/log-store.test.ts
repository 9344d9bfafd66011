import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { describe, expect, it } from 'vitest';
import { logStoreOver } from '../../../aws/log-store.ts';
import { awsError, fakeClient, type Reply } from '../../support/fakes/sdk-client.ts';

const NOW = Date.now();

/** One fake plays both clients; `put` etc. answer the call of that number. */
function store(replies: {
  put?: (call: number) => Reply;
  create?: (call: number) => Reply;
  get?: (call: number) => Reply;
}) {
  const reading = fakeClient<CloudWatchLogsClient>({
    CreateLogStreamCommand: (_, call) => replies.create?.(call) ?? {},
    CreateLogGroupCommand: () => ({}),
    GetLogEventsCommand: (_, call) => replies.get?.(call) ?? {},
  });
  const writing = fakeClient<CloudWatchLogsClient>({ PutLogEventsCommand: (_, call) => replies.put?.(call) ?? {} });
  const logs = logStoreOver({ logs: reading.client, once: writing.client, now: Date.now }, '/runctl/runs');
  return { logs, puts: writing.sent, others: reading.sent };
}

describe('put', () => {
  it('writes all messages at one time, in order', async () => {
    const { logs, puts } = store({});
    await logs.put('r/train', ['a\n', 'b'], NOW);
    expect(puts.map((put) => put.input)).toEqual([
      {
        logGroupName: '/runctl/runs',
        logStreamName: 'r/train',
        logEvents: [
          { message: 'a\n', timestamp: NOW },
          { message: 'b', timestamp: NOW },
        ],
      },
    ]);
  });

  it('creates a missing stream, then writes', async () => {
    const { logs, puts, others } = store({ put: (call) => (call === 0 ? awsError('ResourceNotFoundException') : {}) });
    await logs.put('r/train', ['a'], NOW);
    expect(others.map((command) => command.name)).toEqual(['CreateLogStreamCommand']);
    expect(puts.length).toBe(2);
  });

  it('writes also when another attempt created the stream meanwhile', async () => {
    const { logs, puts } = store({
      put: (call) => (call === 0 ? awsError('ResourceNotFoundException') : {}),
      create: () => awsError('ResourceAlreadyExistsException'),
    });
    await logs.put('r/train', ['a'], NOW);
    expect(puts.length).toBe(2);
  });

  it('splits what is too much for one call', async () => {
    const { logs, puts } = store({});
    await logs.put(
      'r/train',
      Array.from({ length: 10_001 }, () => '\n'),
      NOW,
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
      await expect(logs.put('r/train', ['a'], NOW)).rejects.toMatchObject({ name: 'ServiceUnavailable' });
    },
  );

  it.each([
    ['ThrottlingException', 'ServiceUnavailable'],
    ['TimeoutError', 'ServiceUnavailable'],
    ['AccessDeniedException', 'AccessDenied'],
  ])('%s is %s, after one call: what may have been written is not written again', async (thrown, name) => {
    const { logs, puts } = store({ put: () => awsError(thrown) });
    await expect(logs.put('r/train', ['a'], NOW)).rejects.toMatchObject({ name });
    expect(puts.length).toBe(1);
  });

  it('creates a deleted log group again, and the stream in it', async () => {
    const { logs, puts, others } = store({
      put: (call) => (call === 0 ? awsError('ResourceNotFoundException') : {}),
      create: (call) => (call === 0 ? awsError('ResourceNotFoundException') : {}),
    });
    await logs.put('r/train', ['a'], NOW);
    expect(others.map((command) => command.name)).toEqual([
      'CreateLogStreamCommand',
      'CreateLogGroupCommand',
      'CreateLogStreamCommand',
    ]);
    expect(puts.length).toBe(2);
  });

  it('sends nothing that AWS would refuse, or drop inside a 200, though an emulator takes it', async () => {
    const { logs, puts } = store({});
    await expect(logs.put('r/train', ['a', ''], NOW)).rejects.toMatchObject({
      message: expect.stringContaining('an empty message'),
    });
    await expect(logs.put('r/train', ['a'], NOW - 15 * 86_400_000)).rejects.toMatchObject({
      message: expect.stringContaining('14 days'),
    });
    await expect(logs.put('r/train', ['a'], NOW + 3 * 3_600_000)).rejects.toMatchObject({
      message: expect.stringContaining('2 hours'),
    });
    await expect(logs.put('r/train', ['x'.repeat(262_144)], NOW)).rejects.toMatchObject({
      message: expect.stringContaining('event of more'),
    });
    expect(puts).toEqual([]);
  });
});

describe('after', () => {
  const event = (message: string, timestamp = 5) => ({ message, timestamp });

  it('adds up the bytes of later events, over pages, empty ones too, until the token repeats', async () => {
    const pages = [
      { events: [event('é\n'), event('before', 4)], nextForwardToken: 't1' },
      { events: [], nextForwardToken: 't2' },
      { events: [event('ab')], nextForwardToken: 't3' },
      { events: [], nextForwardToken: 't3' },
    ];
    const { logs, others } = store({ get: (call) => pages[call] ?? awsError('TooManyCalls') });
    expect(await logs.after('r/train', 4)).toMatchObject({ bytes: 5 });
    expect(others.map((command) => command.input.nextToken)).toEqual([undefined, 't1', 't2', 't3']);
    expect(others[0]?.input).toMatchObject({ startTime: 5, startFromHead: true });
  });

  it('is 0 when there is no stream yet', async () => {
    expect(await store({ get: () => awsError('ResourceNotFoundException') }).logs.after('r/train', 4)).toEqual({
      bytes: 0,
      last: 4,
    });
  });

  it('does not guess when it cannot read', async () => {
    const { logs } = store({ get: () => awsError('ThrottlingException') });
    await expect(logs.after('r/train', 4)).rejects.toMatchObject({ name: 'ServiceUnavailable' });
  });
});
