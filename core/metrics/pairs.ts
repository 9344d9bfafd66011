import { isMetricName, type Reading, type Readings } from './point.ts';
import { isMeasure, isNoise, NUMBER, parseValue } from './values.ts';

/** Lines for people: `epoch 3: loss=0.4 acc: 0.9`, `iter 10: loss 4.2, time 12ms`, `Epoch [1/5], Step [100/600], Loss: 0.5`. */

const COUNT = String.raw`[\s:=#]*[[(]?\s*(\d{1,15})(?:\.0)?(?![\w.])(?:\s*(?:\/|of)\s*(\d{1,15}))?\s*[\])]?`;
const EPOCH = new RegExp(String.raw`(?<![\w/-])(?:train(?:ing)?\s+)?epochs?${COUNT}`, 'i');
const STEP = new RegExp(
  String.raw`(?<![\w/-])(?:global[_ ]step|steps?|iterations?|iters?|batch|rounds?|updates?)${COUNT}`,
  'i',
);
/** Of an epoch: `[640/60000 (1%)]`, `[ 10/5005]`. */
const PART = /^[\s,:]*\[\s*(\d{1,15})\s*\/\s*(\d{1,15})[^\]]{0,16}\]/;

export interface FoundStep {
  readonly step: number;
  /** The count was of epochs alone. */
  readonly isEpoch: boolean;
  /** What stands before and behind the count, with marks in the places of counts. */
  readonly rest: string;
}

/** Stands for a count that was taken out of a line: nothing in a log has it, and it ends names. */
const MARK = '\u0001';

/** The step that a line says, and the line without it. */
export function findStep(line: string): FoundStep | null {
  const epoch = EPOCH.exec(line);
  let rest = epoch === null ? line : cut(line, epoch.index, epoch[0].length);
  const counted = STEP.exec(rest);
  if (counted !== null) rest = cut(rest, counted.index, counted[0].length);
  if (epoch === null) return counted === null ? null : { step: Number(counted[1]), isEpoch: false, rest };
  const number = Number(epoch[1]);
  if (counted !== null) {
    const total = counted[2] === undefined ? null : Number(counted[2]);
    return { step: within(number, epoch[2] !== undefined, Number(counted[1]), total), isEpoch: false, rest };
  }
  const behind = rest.slice(epoch.index + 1);
  const part = PART.exec(behind);
  if (part === null) return { step: number, isEpoch: true, rest };
  rest = rest.slice(0, epoch.index + 1) + behind.slice(part[0].length);
  return { step: within(number, false, Number(part[1]), Number(part[2])), isEpoch: false, rest };
}

/** Counts on over epochs. An epoch `1/5` is the first of five; of one without a total nobody knows whether it counts from 0. */
function within(epoch: number, fromOne: boolean, count: number, total: number | null): number {
  if (total === null) return count;
  return (epoch - (fromOne && epoch > 0 ? 1 : 0)) * total + count;
}

const cut = (line: string, at: number, length: number) => line.slice(0, at) + MARK + line.slice(at + length);

const PAIR = new RegExp(String.raw`\s*[:=]\s*(?:tensor\()?(${NUMBER})(?=%|$|[\s,;|)\]}/${MARK}])`, 'g');
const DELIMITER = new RegExp(String.raw`[,;|()[\]{}\t${MARK}>]|\s-+\s|\s\s|:\s|(?<=\d%)\s`);
const WORDS = /^[A-Za-z_][\w./@-]*(?: [A-Za-z_][\w./@-]*){0,2}$/;
/** Before the first name of a line; it belongs to the names behind as well: `val Loss: 0.5 Acc: 0.9`. */
const PHASE = /^(train|training|val|valid|validation|test|eval)\s+(?=\S)/i;

/** The pairs `name=value` and `name: value` of a line. */
export function readPairs(line: string): Reading[] {
  const readings: Reading[] = [];
  let from = 0;
  let phase: string | null = null;
  for (const match of line.matchAll(PAIR)) {
    const before = line.slice(from, match.index);
    from = match.index + match[0].length;
    // A fraction such as 98/100, and a number in several parts.
    if (line[from] === '/') continue;
    const parts = before.replace(/^%/, '').split(DELIMITER);
    let name = lastWords(parts.at(-1) ?? '');
    const value = parseValue(match[1] ?? '');
    if (name === null || value === null) continue;
    const found = PHASE.exec(name)?.[1] ?? null;
    if (readings.length === 0) phase = found;
    else if (phase !== null && found === null && parts.length === 1) name = `${phase} ${name}`;
    if (isMetricName(name) && !isNoise(name)) readings.push({ name, value });
  }
  return readings;
}

function lastWords(text: string): string | null {
  const name = text.trim().replace(/^[-*•]\s*/, '');
  return WORDS.test(name) ? name : null;
}

const ITEM = new RegExp(
  String.raw`^[\s:]*([A-Za-z_][\w./@-]*(?: [A-Za-z_][\w./@-]*){0,2})\s+(${NUMBER})\s*%?(?:\s*\(\s*(?:${NUMBER})\s*\))?\s*$`,
);

/** The items `name value` behind a step, between commas, bars or tabs. Only measures: prose has words and numbers too. */
export function readItems(rest: string): Reading[] {
  const readings: Reading[] = [];
  for (const item of rest.slice(rest.lastIndexOf(MARK) + 1).split(/[,|;\t]|\s-\s/)) {
    const match = ITEM.exec(item);
    const name = match?.[1] ?? '';
    const value = parseValue(match?.[2] ?? '');
    if (value !== null && isMetricName(name) && isMeasure(name)) readings.push({ name, value });
  }
  return readings;
}

/** A line with a step on it. */
export function readLine(line: string): Readings | null {
  const found = findStep(line);
  if (found === null) return null;
  const pairs = readPairs(found.rest);
  return { step: found.step, readings: pairs.length > 0 ? pairs : readItems(found.rest) };
}
