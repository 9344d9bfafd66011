import { describe, expect, it } from 'vitest';
import { LogTail } from '../../../../cli/ui/log-tail.ts';

const message = (text: string) => ({ text, at: 7 });

describe('the tail of a log', () => {
  it('gives the lines that a page lacks, as text', () => {
    const tail = new LogTail();
    tail.add([message('\x1b[31mred\x1b[0m\n'), message('<b>half')]);
    expect(tail.after(0)).toEqual({ lines: [{ number: 1, at: 7, text: 'red' }], total: 1 });
    tail.add([message(' a line</b>\n')]);
    tail.add([message('the end')]);
    tail.end();
    expect(tail.after(1).lines.map(({ number, text }) => [number, text])).toEqual([
      [2, '<b>half a line</b>'],
      [3, 'the end'],
    ]);
    expect(tail.after(3).lines).toEqual([]);
  });

  it('keeps the last lines, and their numbers', () => {
    const tail = new LogTail();
    for (let line = 1; line <= 100_000; line += 1) tail.add([message(`${line}\n`)]);
    const { lines, total } = tail.after(5);
    expect(total).toBe(100_000);
    expect(lines.length).toBeGreaterThanOrEqual(2_000);
    expect(lines.length).toBeLessThan(4_000);
    expect(lines.every(({ number, text }) => String(number) === text)).toBe(true);
    expect(lines.at(-1)?.number).toBe(100_000);
  });

  it('cuts lines that fill a screen', () => {
    const tail = new LogTail();
    tail.add([message(`${'x'.repeat(100_000)}\n`)]);
    expect(tail.after(0).lines[0]?.text.length).toBe(2_001);
  });
});
