import type { Definitions } from './definitions.ts';
import { type Level, play } from './levels.ts';
import { type Findings, nothingFound } from './world/check.ts';

/** A message from the pool to one of its processes. */
export type Order = { readonly definitions: Definitions; readonly level: Level } | { readonly seed: number };

/** The result of one schedule. */
export interface Result {
  readonly seed: number;
  readonly findings: Findings;
  /** The number of runs by outcome. */
  readonly ends: Readonly<Record<string, number>>;
  /** The number of checkpoints that were committed. */
  readonly committed: number;
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
  const { findings, ends, committed } = await play(job.level, seed, job.definitions).catch((error: Error) => ({
    findings: { ...nothingFound(), other: [error.stack ?? String(error)] },
    ends: {},
    committed: 0,
  }));
  process.send?.({ seed, findings, ends, committed, seconds: (performance.now() - began) / 1_000 } satisfies Result);
}
