import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, killQuietly, waitFor } from '../../support/instance/processes.ts';
import type { Random } from '../random.ts';
import type { Machine, Training } from './machine.ts';

/** Every ten interruptions have these, in another order. */
const TEN = [
  'training',
  'training',
  'training and supervisor',
  'training and supervisor',
  'keeper, then training',
  'all three',
  'reboot',
  'reboot at any moment',
  'spot notice',
  'full disk',
] as const;
export type Interruption = (typeof TEN)[number];
/** An interruption, as it was played. */
export interface PlayedInterruption {
  readonly kind: Interruption;
  /** The attempt whose training was interrupted; null: none was running. */
  readonly attempt: number | null;
}

/** A training ends so soon after a notice, or on a full disk. */
const ENDS_S = 40;

export function drawInterruptions(random: Random, count: number): Interruption[] {
  const drawn: Interruption[] = [];
  while (drawn.length < count) {
    const left: Interruption[] = [...TEN];
    while (left.length > 0) drawn.push(...left.splice(random.int(0, left.length - 1), 1));
  }
  return drawn.slice(0, count);
}

/** Plays one interruption of a training that runs. @returns what was special about it */
export async function interrupt(kind: Interruption, on: Machine, training: Training, random: Random): Promise<string> {
  const { pid, supervisor } = training;
  const ended = () => waitFor(() => !isAlive(pid) || null, ENDS_S);
  switch (kind) {
    case 'training':
      killQuietly(pid);
      return '';
    case 'training and supervisor':
      for (const one of random.chance(0.5) ? [supervisor, pid] : [pid, supervisor]) killQuietly(one);
      return '';
    case 'keeper, then training': {
      const had = on.killKeeper(training);
      await sleep(random.between(0, 5_000));
      killQuietly(pid);
      return had ? '' : 'no keeper yet';
    }
    case 'all three': {
      const had = on.killKeeper(training);
      for (const one of [supervisor, pid]) killQuietly(one);
      return had ? '' : 'no keeper yet';
    }
    case 'reboot':
    case 'reboot at any moment':
      await on.reboot();
      return '';
    case 'spot notice':
      on.announceStop();
      await ended();
      await sleep(random.between(0, 4_000));
      await on.takeAndReturn();
      return '';
    case 'full disk': {
      const makeRoom = on.fillDisk();
      try {
        await ended();
        await sleep(random.between(0, 300));
      } finally {
        makeRoom();
      }
      return '';
    }
  }
}
