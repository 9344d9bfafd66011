import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BadExpression, readSchedule } from '../../../core/schedule/expression.ts';
import { instantOf, wallAt } from '../../../core/schedule/wall-time.ts';

const BERLIN = 'Europe/Berlin';
const at = (text: string) => Date.parse(text);

/** The next times as ISO text. */
function next(text: string, options: { after: string; zone?: string; count?: number; since?: string }): string[] {
  const { after, zone = 'UTC', count = 3, since = after } = options;
  return readSchedule(text, zone)
    .next(count, at(after), at(since))
    .map((time) => new Date(time).toISOString().slice(0, 16));
}

describe("EventBridge's cron", () => {
  const after = '2026-11-24T12:00:00Z'; // a Tuesday

  // The examples of the user guide, and each special sign.
  it.each([
    ['0 10 * * ? *', ['2026-11-25T10:00', '2026-11-26T10:00', '2026-11-27T10:00']],
    ['0 18 ? * MON-FRI *', ['2026-11-24T18:00', '2026-11-25T18:00', '2026-11-26T18:00']],
    ['0 8 1 * ? *', ['2026-12-01T08:00', '2027-01-01T08:00', '2027-02-01T08:00']],
    ['0/15 * * * ? *', ['2026-11-24T12:15', '2026-11-24T12:30', '2026-11-24T12:45']],
    ['5/20 12 * * ? *', ['2026-11-24T12:05', '2026-11-24T12:25', '2026-11-24T12:45']],
    ['0/5 8-17 ? * MON-FRI *', ['2026-11-24T12:05', '2026-11-24T12:10', '2026-11-24T12:15']],
    ['15 10 ? * 6L 2026-2027', ['2026-11-27T10:15', '2026-12-25T10:15', '2027-01-29T10:15']],
    ['15 10 ? * FRIL *', ['2026-11-27T10:15', '2026-12-25T10:15', '2027-01-29T10:15']],
    ['0 0 L * ? *', ['2026-11-30T00:00', '2026-12-31T00:00', '2027-01-31T00:00']],
    ['0 0 ? * L *', ['2026-11-28T00:00', '2026-12-05T00:00', '2026-12-12T00:00']],
    ['0 0 ? * 1 *', ['2026-11-29T00:00', '2026-12-06T00:00', '2026-12-13T00:00']],
    ['0 0 ? * 3#2 *', ['2026-12-08T00:00', '2027-01-12T00:00', '2027-02-09T00:00']],
    ['0 0 15W * ? *', ['2026-12-15T00:00', '2027-01-15T00:00', '2027-02-15T00:00']],
    ['0 0 13W JUN ? 2027', ['2027-06-14T00:00']],
    ['0 0 29 FEB ? 2028/4', ['2028-02-29T00:00', '2032-02-29T00:00', '2036-02-29T00:00']],
    ['0 2,14 * * ? *', ['2026-11-24T14:00', '2026-11-25T02:00', '2026-11-25T14:00']],
    ['0 0 1 1 ? 2025', []],
  ])('cron(%s)', (fields, times) => {
    expect(next(`cron(${fields})`, { after })).toEqual(times);
  });

  it.each([
    ['0 2 * * *', /five|5 fields/],
    ['0 2 * * * *', /exactly one/],
    ['0 2 ? * ? *', /exactly one/],
    ['60 2 * * ? *', /./],
    ['0 24 * * ? *', /./],
    ['0 2 ? * 0 *', /day of week/],
    ['0 2 ? * +MON *', /day of week/],
    ['0 2 ? * 2#1,6#3 *', /day of week/],
    ['0 2 L-3 * ? *', /day of month/],
    ['0 2 LW * ? *', /day of month/],
    ['0 2 * FOO ? *', /month/],
    ['@daily', /fields/],
  ])('cron(%s) is refused', (fields, reason) => {
    expect(() => readSchedule(`cron(${fields})`, 'UTC')).toThrow(BadExpression);
    expect(() => readSchedule(`cron(${fields})`, 'UTC')).toThrow(reason);
  });

  it('is of the time zone', () => {
    expect(next('cron(0 2 * * ? *)', { after, zone: BERLIN, count: 1 })).toEqual(['2026-11-25T01:00']);
    expect(next('cron(30 5 * * ? *)', { after, zone: 'Asia/Kolkata', count: 1 })).toEqual(['2026-11-25T00:00']);
  });

  it('skips a time that clocks skip', () => {
    const spring = { after: '2027-03-27T12:00:00Z', zone: BERLIN };
    expect(next('cron(30 2 * * ? *)', spring)).toEqual(['2027-03-29T00:30', '2027-03-30T00:30', '2027-03-31T00:30']);
    expect(next('cron(0 1-3 28 3 ? 2027)', spring)).toEqual(['2027-03-28T00:00', '2027-03-28T01:00']);
  });

  it('counts a time that clocks show twice once, also while they show it', () => {
    const fields = 'cron(0/30 2 31 10 ? 2027)';
    const twice = ['2027-10-31T00:00', '2027-10-31T00:30'];
    expect(next(fields, { after: '2027-10-30T12:00:00Z', zone: BERLIN })).toEqual(twice);
    expect(next(fields, { after: '2027-10-31T00:10:00Z', zone: BERLIN })).toEqual(twice.slice(1));
    expect(next(fields, { after: '2027-10-31T01:10:00Z', zone: BERLIN })).toEqual([]);
  });
});

describe('rates and single times', () => {
  const after = '2026-11-24T12:00:00Z';

  it('a rate begins when it is made, and counts from there', () => {
    const since = '2026-11-24T00:30:00Z';
    expect(next('rate(6 hours)', { after, since })).toEqual([
      '2026-11-24T12:30',
      '2026-11-24T18:30',
      '2026-11-25T00:30',
    ]);
    expect(next('rate(1 day)', { after: '2026-11-24T00:29:59Z', since, count: 1 })).toEqual(['2026-11-24T00:30']);
  });

  it('a single time comes once, in the time zone', () => {
    expect(next('at(2026-12-24T18:00:00)', { after, zone: BERLIN })).toEqual(['2026-12-24T17:00']);
    expect(next('at(2026-11-24T12:00:00)', { after })).toEqual([]);
  });

  it.each([
    'rate(1 hours)',
    'rate(5 minute)',
    'rate(0 minutes)',
    'rate(30 seconds)',
    'at(2026-02-30T00:00:00)',
    'at(tomorrow)',
    'now',
    '',
  ])('%j is refused', (text) => {
    expect(() => readSchedule(text, 'UTC')).toThrow(BadExpression);
  });

  it('a single time that clocks skip is refused', () => {
    expect(() => readSchedule('at(2027-03-28T02:30:00)', BERLIN)).toThrow(/no clock/);
  });
});

it.each([
  ['daily 02:00', 'cron(0 2 * * ? *)'],
  ['weekdays 7:30', 'cron(30 7 ? * MON-FRI *)'],
  ['Sun 23:59', 'cron(59 23 ? * SUN *)'],
  ['every 6h', 'rate(6 hours)'],
  ['every 1 d', 'rate(1 day)'],
  ['every 90m', 'rate(90 minutes)'],
])('%s is %s', (words, expression) => {
  expect(readSchedule(words, 'UTC').expression).toBe(expression);
});

describe('what clocks show', () => {
  it('leads back to its instant, unless it was shown before', async () => {
    const zones = [BERLIN, 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata', 'Pacific/Apia', 'UTC'];
    const instants = fc.integer({ min: at('2005-01-01T00:00:00Z') / 1_000, max: at('2040-01-01T00:00:00Z') / 1_000 });
    await fc.assert(
      fc.property(instants, fc.constantFrom(...zones), (seconds, zone) => {
        const instant = seconds * 1_000;
        const back = instantOf(wallAt(instant, zone), zone);
        expect(back).not.toBeNull();
        expect(back).toBeLessThanOrEqual(instant);
        expect(instant - (back ?? 0)).toBeLessThanOrEqual(3_600_000);
        if (back !== null) expect(wallAt(back, zone)).toBe(wallAt(instant, zone));
      }),
    );
  });
});
