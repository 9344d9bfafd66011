import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { readDefinitions } from './definitions.ts';
import { playAll } from './pool.ts';
import { Totals } from './totals.ts';

const SCHEDULES = 1_000;

it(`${SCHEDULES} schedules of faults, of a modelled runner in virtual time: nothing twice, nothing lost, nothing untrue`, async () => {
  const totals = new Totals('model');
  const problems: string[] = [];
  const seeds = Array.from({ length: SCHEDULES }, (_, index) => index + 1);
  await playAll(
    { definitions: readDefinitions(), level: 'model', workers: availableParallelism() },
    seeds,
    (result) => {
      totals.add(result);
      problems.push(...totals.problemsOf(result));
    },
  );
  console.log(totals.summary());
  expect(problems).toEqual([]);
});
