import type { Definitions } from './definitions.ts';
import { type Played, playModel } from './play.ts';

/** `model`: the runner is a model, and time is virtual. */
export const LEVELS = ['model'] as const;
export type Level = (typeof LEVELS)[number];

/** Plays the schedule of a seed to its end. */
export async function play(level: Level, seed: number, definitions: Definitions): Promise<Played> {
  return { model: playModel }[level](seed, definitions);
}
