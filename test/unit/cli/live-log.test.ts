import { describe, expect, it } from 'vitest';
import { ByteFeed, textFeed } from '../../../cli/logs/byte-feed.ts';
import type { LogMessage } from '../../../cli/logs/job-log.ts';
import { lastLinesStart } from '../../../cli/logs/last-lines.ts';
import { LiveLog } from '../../../cli/logs/live-log.ts';
import { jobStatus } from '../../support/fakes/samples.ts';

const never = new AbortController().signal;

/** A sink that keeps what it gets, and an instance whose log is `log.bytes`. */
function setUp(raw = false) {
  const log = { bytes: Buffer.alloc(0), state: 'running' as 'running' | 'exited', answers: true, most: 1_000 };
  const got = { text: '', bytes: Buffer.alloc(0) };
  const feed = new ByteFeed(
    {
      async write(messages: readonly LogMessage[]) {
        got.text += messages.map(({ text }) => text).join('');
      },
      async writeBytes(bytes: Uint8Array) {
        got.bytes = Buffer.concat([got.bytes, bytes]);
      },
      async end() {
        got.text += '<end>';
      },
    },
    raw,
  );
  const live = new LiveLog(async (offset, maxBytes) => {
    if (!log.answers) throw new Error('silent');
    const bytes = log.bytes.subarray(offset, offset + Math.min(maxBytes, log.most));
    const status = jobStatus('train', bytes, { state: log.state });
    return { ...status, log: { ...status.log, offset, size: log.bytes.length } };
  }, feed);
  return { log, got, live, feed };
}

it('what was written since the last record has the time of the answer', async () => {
  const got: LogMessage[] = [];
  const feed = textFeed(async (messages) => void got.push(...messages));
  const status = jobStatus('train', 'one\ntwo\n');
  const live = new LiveLog(async () => ({ ...status, log: { ...status.log, times: [[4, 5_000]] } }), feed);
  await live.next(never);
  expect(got).toEqual([
    { text: 'one\n', at: 5_000 },
    { text: 'two\n', at: status.now * 1_000 },
  ]);
});

describe("a job's log on the instance", () => {
  it('is shown once, in answers of any size, also when the instance is silent in between', async () => {
    const { log, got, live, feed } = setUp();
    log.most = 3;
    log.bytes = Buffer.from('one é\ntwo\n');
    await live.next(never);
    expect(got.text).toBe('one é\ntwo\n');
    log.answers = false;
    await expect(live.next(never)).rejects.toThrow('silent');
    log.answers = true;
    log.bytes = Buffer.concat([log.bytes, Buffer.from([0xff, 0x0a])]);
    await live.next(never);
    expect(live.position.ended).toBe(false);
    log.state = 'exited';
    await live.next(never);
    expect(live.position).toEqual({ offset: log.bytes.length, ended: true });
    await feed.end(1, never);
    expect(got.text).toBe('one é\ntwo\n\\xff\n<end>');
  });

  it('begins with the last lines', async () => {
    const { log, got, live } = setUp();
    log.most = 1_000_000;
    log.bytes = Buffer.from(Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join(''));
    await live.beginNearEnd(2, never);
    log.bytes = Buffer.concat([log.bytes, Buffer.from('more\n')]);
    await live.next(never);
    expect(got.text).toBe('line 19998\nline 19999\nmore\n');
  });

  it('continues at its offset when the job has truncated its log', async () => {
    const { got, feed } = setUp();
    const live = new LiveLog(async () => {
      const status = jobStatus('train', 'new\n');
      return { ...status, log: { ...status.log, offset: 500, size: 504 } };
    }, feed);
    await live.next(never);
    expect(got.text).toBe('new\n');
    expect(live.position.offset).toBe(504);
  });

  it('is given byte for byte when it is wanted so', async () => {
    const { log, got, live } = setUp(true);
    log.bytes = Buffer.from([0xff, 0x00, 0xc3]);
    await live.next(never);
    expect([...got.bytes]).toEqual([0xff, 0x00, 0xc3]);
  });
});

describe('where the last lines begin', () => {
  it('is behind the newline before them', () => {
    const at = (text: string, lines: number, inside = false) => lastLinesStart(Buffer.from(text), lines, inside);
    expect(at('a\nb\nc\n', 1)).toBe(4);
    expect(at('a\nb\nc', 2)).toBe(2);
    expect(at('a\nb\n', 9)).toBe(0);
    expect(at('rest of a line\nb\n', 9, true)).toBe(15);
    expect(at('', 3)).toBe(0);
    expect(at('\n\n\n', 1)).toBe(2);
  });
});
