import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LogSink } from '../../../cli/logs/log-sink.ts';
import { atTheirTimes, pushTimed, readLogTimes } from '../../../cli/logs/log-times.ts';
import type { RunStore } from '../../../cli/runs/store.ts';

const never = new AbortController().signal;
const LATEST = 999;
const cut = (text: string, from: number, times: [number, number][]) =>
  [...atTheirTimes(Buffer.from(text), from, times, LATEST)].map(({ bytes, at }) => [Buffer.from(bytes).toString(), at]);

it('bytes have the time of the first record that reaches them', () => {
  const times: [number, number][] = [
    [4, 100],
    [8, 200],
    [20, 300],
  ];
  expect(cut('one\ntwo\nthree\n', 0, times)).toEqual([
    ['one\n', 100],
    ['two\n', 200],
    ['three\n', 300],
  ]);
  expect(cut('o\nthree\n', 6, times)).toEqual([
    ['o\n', 200],
    ['three\n', 300],
  ]);
  expect(cut('later', 20, times), 'written since the last record').toEqual([['later', LATEST]]);
  expect(cut('e\nlater', 18, times)).toEqual([
    ['e\n', 300],
    ['later', LATEST],
  ]);
  expect(cut('first', 0, []), 'before the first record').toEqual([['first', LATEST]]);
  expect(cut('', 0, times)).toEqual([]);
});

it('no byte is lost or doubled, whatever the records are', () => {
  const records = fc.array(fc.tuple(fc.nat(40), fc.nat(1_000)), { maxLength: 10 });
  fc.assert(
    fc.property(fc.string({ maxLength: 30 }), fc.nat(10), records, (text, from, unsorted) => {
      const times = unsorted.sort(([a], [b]) => a - b);
      expect(
        cut(text, from, times)
          .map(([part]) => part)
          .join(''),
      ).toBe(Buffer.from(text).toString());
    }),
  );
});

it('times are read from the bucket; a run of an older version has none', async () => {
  const store = (body: Buffer | null) =>
    ({ open: async () => (body === null ? null : { Body: Readable.from([body]) }) }) as unknown as RunStore;
  expect(await readLogTimes(store(gzipSync('4 100\n8 200\n')), { runId: 'r', attempt: 1 }, never)).toEqual([
    [4, 100],
    [8, 200],
  ]);
  expect(await readLogTimes(store(gzipSync('')), { runId: 'r', attempt: 1 }, never)).toEqual([]);
  expect(await readLogTimes(store(null), { runId: 'r', attempt: 1 }, never)).toBeNull();
});

it('a line begins with the time of its last message', async () => {
  const printed: string[] = [];
  const terminal = {
    printLog: async (lines: readonly string[]) => void printed.push(...lines),
    writeRaw: async () => {},
  };
  const sink = new LogSink(terminal, { job: 'train', format: 'text', timestamps: true });
  await sink.write(
    [
      { text: 'be', at: 1_000 },
      { text: 'gun\nrest', at: 2_000 },
    ],
    never,
  );
  await sink.end(never);
  expect(printed).toEqual(['1970-01-01T00:00:02.000Z begun', '1970-01-01T00:00:02.000Z rest']);
});

it('a stored log has its times, from any byte on; without times, that of the reading', async () => {
  const parts: [string, number][] = [];
  const feed = { push: async (bytes: Uint8Array, at: number) => void parts.push([Buffer.from(bytes).toString(), at]) };
  async function* chunks() {
    yield Buffer.from('one\ntw');
    yield Buffer.from('o\n');
    yield Buffer.from('three\nmore');
  }
  const times: [number, number][] = [
    [4, 100],
    [8, 200],
    [14, 300],
  ];
  await pushTimed(chunks(), feed, { from: 5, times }, never);
  expect(parts.filter(([text]) => text !== '')).toEqual([
    ['w', 200],
    ['o\n', 200],
    ['three\n', 300],
    ['more', 300],
  ]);
  parts.length = 0;
  const began = Date.now();
  await pushTimed(chunks(), feed, { from: 0, times: null }, never);
  expect(parts.map(([text]) => text).join('')).toBe('one\ntwo\nthree\nmore');
  for (const [, at] of parts) expect(at).toBeGreaterThanOrEqual(began);
});
