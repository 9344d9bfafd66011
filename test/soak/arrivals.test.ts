import { expect, it } from 'vitest';
import { RUN_STATES } from '../../core/workflow/states.ts';
import { readDefinitions } from './definitions.ts';
import { playArrival } from './play.ts';

/** The first run takes 20 s, its stop up to 90 s, and a boot up to two minutes. */
const SECONDS = 150;

it('a run that arrives in any second of another one, of the stop after it, and later, starts the instance and is trained', async () => {
  const definitions = readDefinitions();
  const waitedFor = new Map<string, number>();
  for (let second = 0; second < SECONDS; second += 1) {
    const { findings, ends, world } = await playArrival(1_000 * second, definitions);
    expect(Object.values(findings).flat(), `arrived after ${second} s`).toEqual([]);
    expect(ends, `arrived after ${second} s`).toEqual({ succeeded: 2 });
    const { history = [] } = world.runs.get('second') ?? {};
    const visits = history.filter(({ kind, state }) => kind === 'exited' && state === RUN_STATES.find);
    const kinds = visits.map(
      ({ output }) => (JSON.parse(output ?? '') as { starting?: { kind: string } }).starting?.kind,
    );
    for (const kind of new Set(kinds)) if (kind) waitedFor.set(kind, (waitedFor.get(kind) ?? 0) + 1);
  }
  // Most of them met the stop, or the boot that it led to.
  expect(waitedFor.get('stopping')).toBeGreaterThan(20);
  expect(waitedFor.get('booting')).toBeGreaterThan(50);
});
