import type { Definitions } from './definitions.ts';
import { type Played, playModel, playPower, playProcesses } from './play.ts';

/** `model`: the runner is a model, and time is virtual. `power`: the same, on a managed instance. `processes`: the real runner and real processes. */
export const LEVELS = ['model', 'power', 'processes'] as const;
/** Worker processes per core. Workers with real processes wait more than they compute. */
export const PER_CORE: Readonly<Record<Level, number>> = { model: 1, power: 1, processes: 4 };
export type Level = (typeof LEVELS)[number];

/** Plays the schedule of a seed to its end. */
export async function play(level: Level, seed: number, definitions: Definitions): Promise<Played> {
  return { model: playModel, power: playPower, processes: playProcesses }[level](seed, definitions);
}
