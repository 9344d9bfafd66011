import { gunzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { compressMember } from '../../../../core/archive/compress.ts';

it('makes what every reader of gzip reads', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 5_000 }), async (content) => {
      expect(gunzipSync(compressMember(content)).equals(content)).toBe(true);
    }),
  );
});

// What an earlier version made on another machine has to be the same bytes here.
it('makes the bytes that it has always made', () => {
  const member = compressMember(Buffer.from('learning_rate = 0.1\n'.repeat(50)));
  const deflated = 'cb494d2ccacbcc4b8f2f4a2c4955b05530d033e4ca19151b151b151b566200';
  expect(member.subarray(10, -8).toString('hex')).toBe(deflated);
});

it('leaves the handling of errors to the program', () => {
  compressMember(Buffer.from('text'));
  const handlers = (['uncaughtException', 'unhandledRejection'] as const).flatMap((event) =>
    process.rawListeners(event),
  );
  // Emscripten's throw every error anew.
  expect(handlers.map(String).filter((text) => /throw (ex|reason)\b/.test(text))).toEqual([]);
});
