import type { Definitions } from './definitions.ts';
import { type Level, play } from './levels.ts';
import type { Played } from './play.ts';
import { nothingFound } from './world/check.ts';

/** A message from the pool to one of its processes. */
export type Order = { readonly definitions: Definitions; readonly level: Level } | { readonly seed: number };

/** The result of one schedule. */
export interface Result extends Omit<Played, 'schedule' | 'world'> {
  readonly seed: number;
  readonly seconds: number;
}

let job: { definitions: Definitions; level: Level } | null = null;

process.on('message', (order: Order) => {
  if ('definitions' in order) job = order;
  else void work(order.seed);
});

async function work(seed: number): Promise<void> {
  if (job === null) throw new Error('a seed came before the definitions');
  const began = performance.now();
  const {
    schedule: _schedule,
    world: _world,
    ...played
  } = await play(job.level, seed, job.definitions).catch((error: Error) => ({
    findings: { ...nothingFound(), other: [error.stack ?? String(error)] },
    ends: {},
    committed: 0,
    further: { attempts: 0, resumed: 0 },
    events: 0,
    schedule: null,
    world: null,
  }));
  process.send?.({ seed, ...played, seconds: (performance.now() - began) / 1_000 } satisfies Result);
}
