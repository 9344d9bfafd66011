import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { expect, it } from 'vitest';
import { AttemptsLog } from '../../../cli/logs/attempts-log.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

const signal = new AbortController().signal;
const OF = { group: 'g', runId: 'r', job: 'train' } as const;

/** The log streams of a run, each with one line; the others do not exist. */
function logsOf(streams: Record<string, string>) {
  return fakeClient<CloudWatchLogsClient>({
    GetLogEventsCommand: ({ logStreamName, nextToken }) => {
      const message = streams[String(logStreamName)];
      if (message === undefined) return awsError('ResourceNotFoundException');
      return { events: nextToken === 'end' ? [] : [{ message, timestamp: 1 }], nextForwardToken: 'end' };
    },
  }).client;
}

async function readAll(log: AttemptsLog): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const { messages, atEnd } = await log.next(signal);
    found.push(...messages.map(({ text }) => `${log.attempt}: ${text}`));
    if (atEnd && messages.length === 0) return found;
  }
}

it('goes on with the next attempt, and passes over one that has written nothing', async () => {
  const client = logsOf({ 'r/train': 'a\n', 'r/train-2': 'b\n', 'r/train-4': 'c\n' });
  expect(await readAll(AttemptsLog.from(client, OF, 1))).toEqual(['1: a\n', '2: b\n', '4: c\n']);
});

it('the latest attempt is the last one that has written something', async () => {
  expect((await AttemptsLog.latest(logsOf({ 'r/train': 'a\n' }), OF, signal)).attempt).toBe(1);
  const client = logsOf({ 'r/train': 'a\n', 'r/train-3': 'b\n' });
  const log = await AttemptsLog.latest(client, OF, signal);
  expect(log.attempt).toBe(3);
  expect((await log.recent(5, signal)).map(({ text }) => text)).toEqual(['b\n']);
});

it('ends with the last attempt that a run may make', async () => {
  const every = Array.from({ length: 102 }, (_, index) => [index === 0 ? 'r/train' : `r/train-${index + 1}`, 'a\n']);
  const client = logsOf(Object.fromEntries(every));
  expect((await AttemptsLog.latest(client, OF, signal)).attempt).toBe(100);
  expect(await readAll(AttemptsLog.from(client, OF, 99))).toEqual(['99: a\n', '100: a\n']);
});
