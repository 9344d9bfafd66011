import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBatches, toMessages } from '../../../core/logs/batching.ts';

const EVENT_OVERHEAD = 26;

/** Sends a log in chunks as polls do: what is held back comes again at the head of the next. */
function sendInChunks(log: Uint8Array, cuts: readonly number[]): string[] {
  const ends = [...new Set(cuts.map((cut) => cut % (log.length + 1)))].sort((a, b) => a - b).concat(log.length);
  const sent: string[] = [];
  let offset = 0;
  ends.forEach((end, index) => {
    const { messages, consumed } = toMessages(log.subarray(offset, end), { final: index === ends.length - 1 });
    sent.push(...messages);
    offset += consumed;
  });
  expect(offset).toBe(log.length);
  return sent;
}

const line = fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => text.replaceAll('\0', ''));
const text = fc
  .array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '', '\n\n')))
  .map((lines) => lines.map(([words, end]) => words + end).join(''));
const cuts = fc.array(fc.nat(), { maxLength: 12 });
/** Bytes that look like the beginning, middle and end of characters. */
const oddByte = fc.constantFrom(
  0x00,
  0x0a,
  0x41,
  0x80,
  0xbf,
  0xc0,
  0xc3,
  0xe0,
  0xe2,
  0x82,
  0xed,
  0xf0,
  0x9f,
  0xf4,
  0xff,
);
const oddBytes = fc.array(oddByte, { maxLength: 60 }).map((bytes) => Uint8Array.from(bytes));

describe('toMessages', () => {
  it('gives messages that concatenated are the text, wherever it is cut', () => {
    fc.assert(
      fc.property(text, cuts, (log, at) => {
        expect(sendInChunks(Buffer.from(log), at).join('')).toBe(Buffer.from(log).toString());
      }),
    );
  });

  it('shows the same escapes wherever odd bytes are cut', () => {
    fc.assert(
      fc.property(oddBytes, cuts, (log, at) => {
        expect(sendInChunks(log, at).join('')).toBe(sendInChunks(log, []).join(''));
      }),
      { numRuns: 1000 },
    );
  });

  it('never gives an empty message, and one line a message', () => {
    fc.assert(
      fc.property(text, cuts, (log, at) => {
        for (const message of sendInChunks(Buffer.from(log), at)) expect(message).toMatch(/^([^\n]+\n?|\n)$/);
      }),
    );
  });

  it('skips what an attempt has sent already: the rest completes it', () => {
    fc.assert(
      fc.property(text, fc.nat(), (log, seed) => {
        const chunk = Buffer.from(log);
        const all = toMessages(chunk, { final: true }).messages;
        const done = all.slice(0, seed % (all.length + 1)).join('');
        const rest = toMessages(chunk, { final: true, skip: Buffer.byteLength(done) });
        expect(done + rest.messages.join('')).toBe(log);
        expect(rest.consumed).toBe(chunk.length);
      }),
    );
  });

  it('gives each line with its newline, blank ones too, and the unfinished last one as it is', () => {
    expect(toMessages(Buffer.from('a\n\nb\r\nc'), { final: false }).messages).toEqual(['a\n', '\n', 'b\r\n', 'c']);
  });

  it('gives nothing for nothing', () => {
    expect(toMessages(new Uint8Array(), { final: true })).toEqual({ messages: [], consumed: 0, textBytes: 0 });
  });

  it('shows NUL and bytes that are no UTF-8 as escapes, and keeps a byte order mark', () => {
    const log = Buffer.concat([
      Buffer.from('\ufeffa\0b'),
      Buffer.from([0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80]),
      Buffer.from('é\n'),
    ]);
    expect(toMessages(log, { final: true }).messages).toEqual(['\ufeffa\\x00b\\xff\\xc3(\\xed\\xa0\\x80é\n']);
  });

  it.each([
    ['é', 1],
    ['€', 1],
    ['€', 2],
    ['😀', 1],
    ['😀', 2],
    ['😀', 3],
  ])('holds back %s after %i bytes until the rest is there, or for good', (character, at) => {
    const half = Buffer.from(character).subarray(0, at);
    expect(toMessages(Buffer.concat([Buffer.from('a'), half]), { final: false })).toEqual({
      messages: ['a'],
      consumed: 1,
      textBytes: 1,
    });
    expect(toMessages(half, { final: false })).toEqual({ messages: [], consumed: 0, textBytes: 0 });
    expect(toMessages(half, { final: true }).messages.join('')).toMatch(/^(\\x[0-9a-f]{2})+$/);
  });

  it('cuts a line over 256 KB into fragments at whole characters', () => {
    const log = `x${'€'.repeat(400_000)}\n`;
    const { messages } = toMessages(Buffer.from(log), { final: false });
    expect(messages.join('')).toBe(log);
    expect(messages.length).toBe(5);
    for (const message of messages) expect(Buffer.byteLength(message) + EVENT_OVERHEAD).toBeLessThanOrEqual(256 * 1024);
  });

  it('escapes a megabyte of odd bytes in a moment', { timeout: 60_000 }, () => {
    const began = performance.now();
    const { messages } = toMessages(new Uint8Array(1_000_000).fill(0xff), { final: true });
    expect(messages.join('').length).toBe(4_000_000);
    expect(performance.now() - began).toBeLessThan(30_000);
  });
});

describe('toBatches', () => {
  it('keeps the order and the limits of PutLogEvents', () => {
    const message = fc.oneof(
      fc.string({ minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 262_118 }).map((length) => 'y'.repeat(length)),
    );
    fc.assert(
      fc.property(fc.array(message, { maxLength: 40 }), (messages) => {
        const batches = toBatches(messages);
        expect(batches.flat()).toEqual(messages);
        for (const batch of batches) {
          expect(batch.length).toBeGreaterThan(0);
          const bytes = batch.reduce((sum, one) => sum + Buffer.byteLength(one) + EVENT_OVERHEAD, 0);
          expect(bytes).toBeLessThanOrEqual(1_048_576);
        }
      }),
    );
  });

  it('puts at most 10,000 events into a batch', () => {
    expect(toBatches(Array.from({ length: 25_000 }, () => '\n')).map((batch) => batch.length)).toEqual([
      10_000, 10_000, 5_000,
    ]);
  });

  it('fills a batch to the byte', () => {
    const full = 'z'.repeat(262_144 - EVENT_OVERHEAD);
    expect(toBatches([full, full, full, full, 'a']).map((batch) => batch.length)).toEqual([4, 1]);
  });
});
