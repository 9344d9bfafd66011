import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { describe, expect, it } from 'vitest';
import { JobLog } from '../../../cli/logs/job-log.ts';
import { lastLines } from '../../../cli/logs/last-lines.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

/** A stream of these messages as CloudWatch pages through it: three a page, with an empty page before each one. */
function stream(messages: string[]) {
  const PAGE = 3;
  let fails = false;
  const { client } = fakeClient<CloudWatchLogsClient>({
    GetLogEventsCommand: ({ startFromHead, nextToken }) => {
      if (fails) return awsError('ECONNREFUSED');
      if (messages.length === 0) return awsError('ResourceNotFoundException');
      const [, way, at, empty] =
        /^(.)(\d+)(e?)$/.exec(String(nextToken ?? (startFromHead ? 'f0' : `b${messages.length}`))) ?? [];
      const from = Number(at);
      if (way === 'f') {
        const to = empty ? from : Math.min(messages.length, from + PAGE);
        const token = to === from && !empty ? nextToken : to === from ? `f${to}` : `f${to}e`;
        return { events: events(from, to), nextForwardToken: token, nextBackwardToken: `b${from}` };
      }
      const to = empty ? from : Math.max(0, from - PAGE);
      const token = to === from && !empty ? nextToken : to === from ? `b${to}` : `b${to}e`;
      return { events: events(to, from), nextBackwardToken: token, nextForwardToken: `f${from}` };
    },
  });
  const events = (from: number, to: number) => messages.slice(from, to).map((message) => ({ message, timestamp: 1 }));
  const log = new JobLog(client, { group: '/runctl/runs', runId: 'r', job: 'train' });
  const breaks = (now: boolean) => {
    fails = now;
  };
  return { log, breaks };
}

async function rest(log: JobLog): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const { messages, atEnd } = await log.next();
    found.push(...messages.map(({ text }) => text));
    if (atEnd) return found;
  }
}

const lines = (count: number) => Array.from({ length: count }, (_, index) => `line ${index}\n`);

describe("a job's log in CloudWatch", () => {
  it('is read from the beginning, and then as it grows', async () => {
    const messages = lines(7);
    const { log } = stream(messages);
    expect(await rest(log)).toEqual(lines(7));
    expect(await rest(log)).toEqual([]);
    messages.push('more\n');
    expect(await rest(log)).toEqual(['more\n']);
  });

  it('returns its last lines first, and continues after them', async () => {
    const messages = [...lines(20), 'a long ', 'line\n', 'unfinished'];
    const { log } = stream(messages);
    const recent = lastLines(await log.recent(3), 3).map(({ text }) => text);
    expect(recent).toEqual(['line 19\n', 'a long ', 'line\n', 'unfinished']);
    messages.push(' end\n');
    expect(await rest(log)).toEqual([' end\n']);
  });

  it('gives all when it has less, and nothing before it is there', async () => {
    const { log } = stream(lines(2));
    expect(lastLines(await log.recent(50), 50).length).toBe(2);
    const empty: string[] = [];
    const later = stream(empty);
    expect(await later.log.recent(50)).toEqual([]);
    empty.push('first\n');
    expect(await rest(later.log)).toEqual(['first\n']);
  });

  it('loses and doubles nothing when a call fails in the middle', async () => {
    const { log, breaks } = stream(lines(7));
    const first = await log.next();
    breaks(true);
    await expect(log.next()).rejects.toThrow();
    breaks(false);
    expect([...first.messages.map(({ text }) => text), ...(await rest(log))]).toEqual(lines(7));
  });
});
