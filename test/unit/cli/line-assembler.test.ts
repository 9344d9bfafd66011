import { describe, expect, it } from 'vitest';
import { LineAssembler } from '../../../cli/logs/line-assembler.ts';

describe('LineAssembler', () => {
  it('puts fragments together, keeps blank lines, and gives the rest at the end', () => {
    const lines = new LineAssembler();
    expect(lines.push('one\n')).toEqual(['one']);
    expect(lines.push('tw')).toEqual([]);
    expect(lines.push('o\n\nthree')).toEqual(['two', '']);
    expect(lines.end()).toEqual(['three']);
    expect(lines.end()).toEqual([]);
  });

  it('shows the last state of a line that is written over, also before it ends', () => {
    const lines = new LineAssembler();
    expect(lines.push('\r 10%\r 20%\r 30%')).toEqual([' 20%']);
    expect(lines.push('\r 40%\r100%\n')).toEqual(['100%']);
    expect(lines.push('windows\r\n')).toEqual(['windows']);
  });
});
