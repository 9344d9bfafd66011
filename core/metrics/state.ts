import type { Value } from './point.ts';

/** Of one metric: where its count of steps over epochs is. */
export interface Progress {
  readonly epoch: number;
  readonly step: number;
  /** Between the last two counts. */
  readonly interval: number;
  /** Steps of the epochs before. */
  readonly before: number;
}

export type Separator = '|' | ',' | '\t' | ' ';

/** The columns of a table that has a line for each epoch or step. */
export interface Table {
  readonly separator: Separator;
  readonly names: readonly string[];
  /** Index of the column that counts. */
  readonly step: number;
}

export interface TableState extends Table {
  /** Lines that are not of the table since its last one. */
  readonly others: number;
  /** null: it has no line yet. */
  readonly last: number | null;
}

export interface BoxState {
  readonly rows: readonly (readonly [name: string, value: Value])[];
  readonly size: number;
  readonly group: string;
}

/**
 * What the lines of a log that have been read mean for those behind them, as JSON. What is as at the beginning of a log is left out; names
 * are in lists, since anything may be one, `__proto__` too.
 */
export interface ParserState {
  /** Of the last line that has nothing but an epoch, and whether it says of how many. */
  readonly epoch?: number | null;
  readonly hasEpochs?: boolean;
  /** The last epoch that a line has beside other things. */
  readonly lineEpoch?: number;
  readonly hasEpochZero?: boolean;
  /** How many values a metric has that come without a step. */
  readonly counts?: readonly (readonly [name: string, count: number])[];
  readonly progress?: readonly (readonly [name: string, progress: Progress])[];
  /** Of the bars of Keras. */
  readonly keras?: { readonly total: number | null; readonly isClosed: boolean; readonly isDrawn: boolean };
  readonly table?: TableState;
  readonly box?: BoxState;
  /** Names of the losses in the head of Ultralytics. */
  readonly losses?: readonly string[];
  readonly validatedEpoch?: number;
}

/** Characters of a state as JSON: it travels with a run from poll to poll, in 256 KB with everything else. */
const MAX_STATE_CHARACTERS = 24_000;
/** What a longer one goes without, first the first. */
const DISPENSABLE = ['box', 'table', 'losses', 'progress', 'counts'] as const;

/** The state without what has no room. */
export function bounded(state: ParserState): ParserState {
  const kept: { -readonly [Key in keyof ParserState]: ParserState[Key] } = { ...state };
  for (const key of DISPENSABLE) {
    if (JSON.stringify(kept).length <= MAX_STATE_CHARACTERS) break;
    delete kept[key];
  }
  return kept;
}
