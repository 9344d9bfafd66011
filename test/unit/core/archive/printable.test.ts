import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findUnprintable, printable, printableBytes } from '../../../../core/archive/printable.ts';

describe('printable', () => {
  it('shows odd characters as escapes, in quotes', () => {
    expect(printable('a "b" \\ é漢🧪')).toBe('"a \\"b\\" \\\\ é漢🧪"');
    expect(printable('a\n\t\x1b\x7f\x85\u2028\u202e')).toBe('"a\\n\\t\\x1b\\x7f\\x85\\u{2028}\\u{202e}"');
    expect(printableBytes(Buffer.from([0x61, 0xff, 0x0a]))).toBe('"a\\xff\\x0a"');
    expect(printableBytes(Buffer.from('é'))).toBe('"é"');
  });

  it('is short and on one line, whatever the bytes', async () => {
    await fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
        const shown = printableBytes(bytes);
        expect(shown.length).toBeLessThan(1100);
        expect(findUnprintable(shown)).toBe(null);
      }),
    );
    await fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        expect(findUnprintable(printable(text))).toBe(null);
      }),
    );
  });
});
