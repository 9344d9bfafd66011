import type { Random } from '../random.ts';

/** The probabilities of the faults in a schedule. */
export interface Weather {
  /** An AWS call fails before it has any effect: throttled, or a 500. */
  readonly refused: number;
  /** An AWS call has its effect, but its answer is lost. */
  readonly lost: number;
  /** A function dies at one of its calls: before it, or right after its effect. */
  readonly dies: number;
  /** A function succeeds, but Step Functions does not receive its answer. */
  readonly unanswered: number;
  readonly command: {
    readonly twice: number;
    /** Delivered after SSM's time-out. */
    readonly late: number;
    readonly never: number;
    /** Reported TimedOut, Failed or still in progress, although it has ended. */
    readonly misreported: number;
    /** Reported Success with an output that is empty or damaged. */
    readonly garbled: number;
  };
  readonly event: { readonly lost: number; readonly twice: number; readonly late: number };
  /** An abort does not reach the nested execution. */
  readonly orphanedWatch: number;
  /** A PUT from the instance to a presigned URL fails. */
  readonly put: number;
  /** The longest delay of late messages, ms. */
  readonly latest: number;
  /** A finisher dies before its work is done. */
  readonly finisher: number;
  /** At each step of a keeper: it is killed; the disk is full when it writes a note; what it reports is not what it sent. */
  readonly keeper: { readonly dies: number; readonly diskFull: number; readonly lies: number };
}

export const CALM: Weather = {
  refused: 0,
  lost: 0,
  dies: 0,
  unanswered: 0,
  command: { twice: 0, late: 0, never: 0, misreported: 0, garbled: 0 },
  event: { lost: 0, twice: 0, late: 0 },
  orphanedWatch: 0,
  put: 0,
  latest: 0,
  finisher: 0,
  keeper: { dies: 0, diskFull: 0, lies: 0 },
};

/** A third of all schedules has only one kind of fault, so that a failure shows its cause. */
export function drawWeather(random: Random, latest: number): Weather {
  const kinds = [
    'calm',
    'services',
    'functions',
    'commands',
    'events',
    'keeper',
    'all',
    'all',
    'all',
    'storm',
  ] as const;
  const kind = random.pick(kinds);
  const mixed = kind === 'all' || kind === 'storm';
  const rate = (of: typeof kind, most: number) => (kind === of || mixed ? random.between(0, most) : 0);
  return {
    refused: kind === 'storm' ? 0.3 : rate('services', 0.2),
    lost: rate('services', 0.1),
    dies: rate('functions', 0.04),
    unanswered: rate('functions', 0.1),
    command: {
      twice: rate('commands', 0.15),
      late: rate('commands', 0.06),
      never: rate('commands', 0.06),
      misreported: rate('commands', 0.15),
      garbled: rate('commands', 0.08),
    },
    event: { lost: rate('events', 0.6), twice: rate('events', 0.6), late: rate('events', 0.6) },
    orphanedWatch: rate('events', 0.6),
    put: rate('services', 0.3),
    latest,
    finisher: rate('functions', 0.3),
    keeper: { dies: rate('keeper', 0.2), diskFull: rate('keeper', 0.4), lies: rate('keeper', 0.2) },
  };
}
