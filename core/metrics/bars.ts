import { readPairs } from './pairs.ts';
import type { Reading, Readings } from './point.ts';
import { parseValue } from './values.ts';

/** Progress bars with values behind them: Keras, and tqdm as Lightning and Ultralytics use it. */

/** The bar of Keras 3, of Keras 2, and the form with verbose=2. */
const KERAS =
  /^(\d{1,15})\/(\d{1,15}) (?:[\u2501\s]+|\[[=>.]*\]\s|)(?:- )?(?:\S+ )?(?:- )?(?:\S+\/(?:step|epoch) )?- (.*)$/;

export interface KerasBar {
  readonly done: number;
  readonly total: number;
  readonly readings: readonly Reading[];
  /** With values of a validation, which only the last line of an epoch has. */
  readonly isValidated: boolean;
}

/** @returns null for a line of another form */
export function readKerasBar(line: string): KerasBar | null {
  const match = KERAS.exec(line);
  if (match === null) return null;
  const readings = (match[3] ?? '').split(' - ').flatMap((item) => readPairs(item));
  const isValidated = readings.some(({ name }) => name.startsWith('val_'));
  return { done: Number(match[1]), total: Number(match[2]), readings, isValidated };
}

const TQDM = /^(?:([^%|]{0,80}?):?\s+)?\s*(\d{1,3})%\|[^|]*\|\s*(\d{1,15})\/(\d{1,15})\s+\[([^\]]*)\]?/;
/** The bar of Rich, which Lightning can use instead. */
const RICH =
  /^(Epoch \d+(?:\/\d+)?)\s+[\u2501\u2578\u257a\s]+(\d{1,15})\/(\d{1,15})\s+[\d:]+ \u2022 \S+ \S*it\/s\s*(.*)$/;
const EPOCH = /^(?:Epoch|Training epoch)\s*\[?(\d{1,15})/i;

/** torchtune: epoch, step and loss are before its bar. */
const TORCHTUNE = /^\d{1,9}\|(\d{1,15})\|Loss: (\S{1,40}):\s/;

/**
 * The values behind a full bar of an epoch: of a bar under way they are not the epoch's yet. Behind any bar where the step is there, as
 * NeMo has it.
 * @returns null for another line
 */
export function readEpochBar(line: string): Readings | null {
  const [, step, loss] = TORCHTUNE.exec(line) ?? [];
  if (step !== undefined) return { step: Number(step), readings: named(['Loss'], [loss ?? '']) };
  const tqdm = line.includes('%|') ? TQDM.exec(line) : null;
  const rich = line.includes('\u2022') ? RICH.exec(line) : null;
  const [about, done, total, values] = tqdm
    ? [tqdm[1] ?? '', tqdm[3], tqdm[4], tqdm[5] ?? '']
    : rich
      ? [rich[1] ?? '', rich[2], rich[3], rich[4] ?? '']
      : [null, '', '', ''];
  if (about === null) return null;
  const epoch = EPOCH.exec(about);
  const globalStep = /(?:^|, )global_step=(\d{1,15})(?:\.0)?(?=,|$)/.exec(values)?.[1];
  if (epoch === null || (done !== total && globalStep === undefined)) return { step: null, readings: [] };
  const pairs = tqdm ? values.split(', ') : values.split(/ (?=[A-Za-z_][^\s:]*:)/);
  return { step: Number(globalStep ?? epoch[1]), readings: pairs.flatMap((pair) => readPairs(pair)) };
}

const ULTRALYTICS_HEAD = /^\s*Epoch\s+GPU_mem\s+(.*?)\s+Instances\s+Size\s*$/;

/** The names of the losses. null: the line is not the head of an epoch of Ultralytics. */
export function readUltralyticsHead(line: string): readonly string[] | null {
  return ULTRALYTICS_HEAD.exec(line)?.[1]?.split(/\s+/) ?? null;
}

const ULTRALYTICS_ROW = /^\s*(\d{1,15})\/\d{1,15}\s+\d[\d.]*G\s+(.*?):\s*100%/;

/** The losses at the end of an epoch. @returns null for another line */
export function readUltralyticsRow(line: string, names: readonly string[]): Readings | null {
  const match = ULTRALYTICS_ROW.exec(line);
  if (match === null) return null;
  return { step: Number(match[1]), readings: named(names, (match[2] ?? '').split(/\s+/)) };
}

const ULTRALYTICS_ALL = /^\s*all\s+\d+\s+\d+\s+(\d.*?)\s*$/;
const VALIDATED = ['precision', 'recall', 'mAP50', 'mAP50-95'];

/** The validation of all classes. @returns null for another line */
export function readUltralyticsAll(line: string): readonly Reading[] | null {
  const match = ULTRALYTICS_ALL.exec(line);
  return match === null ? null : named(VALIDATED, (match[1] ?? '').split(/\s+/));
}

function named(names: readonly string[], cells: readonly string[]): Reading[] {
  return names.flatMap((name, index) => {
    const value = parseValue(cells[index] ?? '');
    return value === null ? [] : [{ name, value }];
  });
}
