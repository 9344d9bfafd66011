import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { readDefinitions } from './definitions.ts';
import { PER_CORE } from './levels.ts';
import { playAll } from './pool.ts';
import { Totals } from './totals.ts';

describe('in schedules of faults nothing happens twice, nothing is lost, and nothing false is reported', () => {
  it.each([
    { level: 'model', schedules: 320 },
    { level: 'power', schedules: 60 },
    { level: 'processes', schedules: 8 },
  ] as const)('$schedules of them, over $level', async ({ level, schedules }) => {
    const totals = new Totals(level);
    const problems: string[] = [];
    const seeds = Array.from({ length: schedules }, (_, index) => index + 1);
    const workers = PER_CORE[level] * availableParallelism();
    await playAll({ definitions: readDefinitions(), level, workers }, seeds, (result) => {
      totals.add(result);
      problems.push(...totals.problemsOf(result));
    });
    console.log(totals.summary());
    expect(totals.schedules).toBe(schedules);
    expect(problems).toEqual([]);
  });
});
