/** A value of a metric that a log line reports. */
export interface Point {
  readonly name: string;
  /** Step, iteration, round or epoch, as the log counts; a fraction where it counts fractions of epochs. */
  readonly step: number;
  /** Finite; null for a gap. */
  readonly value: number | null;
  /** What the log has in place of a finite number. */
  readonly gap?: Gap;
  /** Of the line in the log, bytes. */
  readonly offset: number;
  /** Which attempt of the run wrote it; 1 is the first. */
  readonly attempt: number;
}

export type Gap = 'nan' | 'inf' | '-inf';
export type Value = number | Gap;

/** A name and a value on a line. */
export interface Reading {
  readonly name: string;
  readonly value: Value;
}

/** The values of one line, which share its step. `step` null: the line has none. */
export interface Readings {
  readonly step: number | null;
  readonly readings: readonly Reading[];
}

/** Series of a run; what has a further name is counted and not kept. */
export const MAX_SERIES = 64;
/** UTF-8 bytes of a line; a longer one is skipped. */
export const MAX_LINE_BYTES = 4_096;
const NAME = /^(?! )[A-Za-z0-9_./@ -]{1,64}(?<! )$/;

export function isMetricName(name: string): boolean {
  return NAME.test(name);
}
