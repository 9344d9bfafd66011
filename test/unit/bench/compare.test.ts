import { describe, expect, it } from 'vitest';
import { compare, parseResults, type Results } from '../../../bench/compare.ts';
import { atLeast, atMost, type Row } from '../../../bench/report.ts';

const TITLE = 'Log';
const machine = { at: '2026-11-24T17:00:00.000Z', node: 'v20.20.2', cpus: 2, cpu: 'one', memoryMb: 8_000, load: 0.1 };
const results = (...rows: Row[]): Results => ({ ...machine, sections: [{ title: TITLE, rows }] });
const row = (value: number | null, changes: Partial<Row> = {}): Row => ({
  name: 'a number',
  value,
  unit: 'ms',
  target: null,
  ...changes,
});
const said = (before: Row, after: Row) => compare(results(before), results(after)).at(-1)?.trim();

describe('comparing two results', () => {
  it.each([
    ['a time that grew', row(100), row(150), '100 ms -> 150 ms  +50 %, worse'],
    ['a time that shrank', row(100), row(50), '100 ms -> 50 ms  -50 %, better'],
    ['a speed that grew', row(2, { unit: 'MB/s' }), row(3, { unit: 'MB/s' }), '2 MB/s -> 3 MB/s  +50 %, better'],
    ['what changes by itself', row(100), row(105), '100 ms -> 105 ms  +5 %'],
    ['what stayed', row(100), row(100), '100 ms -> 100 ms'],
    ['what was nothing', row(0), row(5), '0 ms -> 5 ms  changed'],
    ['what could not be had', row(null), row(5), '- -> 5 ms'],
    ['a target lost', row(4, { target: atMost(5) }), row(6, { target: atMost(5) }), '4 ms -> 6 ms  TARGET NOW MISSED'],
    [
      'a target reached',
      row(4, { target: atLeast(5) }),
      row(6, { target: atLeast(5) }),
      '4 ms -> 6 ms  +50 %, better, target now reached',
    ],
  ])('%s', (_, before, after, expected) => {
    expect(said(before, after)).toBe(`a number  ${expected}`);
  });

  it('names what only one of them has, and machines that differ', () => {
    const before = results(row(1, { name: 'gone' }));
    const lines = compare(before, { ...results(row(1, { name: 'new' })), cpus: 8 });
    expect(lines).toContain('  only before: Log: gone');
    expect(lines).toContain('  only after: Log: new');
    expect(lines).toContain('Not the same machine: cpus 2, then 8.');
  });

  it('names a section that only one of them has by its title alone', () => {
    const before = results(row(1));
    const after = { ...before, sections: [...before.sections, { title: 'More', rows: [row(1), row(2)] }] };
    expect(compare(before, after).slice(-2)).toEqual(['', '  only after: More']);
  });

  it('says when a machine was busy: its numbers say little', () => {
    const busy = { ...results(row(1)), load: 1.5 };
    expect(compare(results(row(1)), busy)[1]).toMatch(/^The machine was busy .* 1\.5 processes on 2 processors/);
    expect(compare(results(row(1)), results(row(1)))[1]).toBe('');
  });

  it('reads what it has written, and refuses another file by name', () => {
    const written = results(row(1), row(null, { name: 'another', target: atMost(3), note: 'why' }));
    expect(parseResults(JSON.stringify(written), 'a.json')).toEqual(written);
    expect(() => parseResults('{"sections": []}', 'b.json')).toThrow(/^b\.json is not an output of .*/);
    expect(() => parseResults('no', 'c.json')).toThrow(/^c\.json is not/);
  });
});
