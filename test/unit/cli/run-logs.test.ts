import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { describe, expect, it } from 'vitest';
import { RunLogs } from '../../../cli/logs/run-logs.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

/** Two pages of the training's log; the network is gone after the first, and while the sync's log is read. */
const PAGES: Record<string, { message: string; next: string }> = {
  start: { message: 'one\n', next: 't1' },
  t1: { message: 'two\nthr', next: 't2' },
};

describe("a run's log, while the network comes and goes", () => {
  it('is handed out whole and once', async () => {
    let gone = true;
    const { client } = fakeClient<CloudWatchLogsClient>({
      GetLogEventsCommand: ({ logStreamName, nextToken }) => {
        if (logStreamName === 'r/install' || logStreamName === 'r/restore')
          return awsError('ResourceNotFoundException');
        if (logStreamName === 'r/sync') {
          if (gone) return awsError('TimeoutError');
          return page({ message: nextToken === 's1' ? '' : 'synced\n', next: 's1' }, 5);
        }
        const at = String(nextToken ?? 'start');
        if (at === 't1' && gone) return awsError('TimeoutError');
        return page(PAGES[at] ?? { message: '', next: at }, at === 'start' ? 1 : 9);
      },
    });
    const logs = new RunLogs(client, 'g', 'r');
    await expect(logs.read()).rejects.toThrow('TimeoutError');
    await expect(logs.read()).rejects.toThrow('TimeoutError');
    gone = false;
    expect((await logs.read()).map(({ text }) => text)).toEqual(['one', 'synced', 'two']);
    expect(await logs.read()).toEqual([]);
    expect(logs.rest().map(({ text }) => text)).toEqual(['thr']);
  });
});

function page({ message, next }: { message: string; next: string }, ingestionTime: number) {
  return { events: message === '' ? [] : [{ message, ingestionTime }], nextForwardToken: next };
}
