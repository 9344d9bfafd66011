import type { Definitions } from './definitions.ts';
import { type Played, playLineage, playModel, playPower, playProcesses } from './play.ts';

/** `model`: the runner is a model, and time is virtual. `lineage`: the same, with runs that go on from others. `power`: the same, on a managed instance. `processes`: the real runner and real processes. */
export const LEVELS = ['model', 'lineage', 'power', 'processes'] as const;
/** Worker processes per core. Workers with real processes wait more than they compute. */
export const PER_CORE: Readonly<Record<Level, number>> = { model: 1, lineage: 1, power: 1, processes: 4 };
export type Level = (typeof LEVELS)[number];

/** Plays the schedule of a seed to its end. */
export async function play(level: Level, seed: number, definitions: Definitions): Promise<Played> {
  return { model: playModel, lineage: playLineage, power: playPower, processes: playProcesses }[level](
    seed,
    definitions,
  );
}
