import { isMetricName, type Reading } from './point.ts';
import { type Count, findCount, MARK } from './steps.ts';
import { isListOfSettings, isMeasure, isNoise, NUMBER, parseValue, remembered } from './values.ts';

/** Lines for people: `epoch 3: loss=0.4 acc: 0.9`, `iter 10: loss 4.2, time 12ms`, `Epoch [1/5], Step [100/600], Loss: 0.5`. */

const THOUSANDS = String.raw`[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])`;
const PAIR = new RegExp(
  String.raw`\s*[:=]\s*(?:tensor\(|\[(?=[^\s,[\]]{1,40}\])|["'](?=[^"']{1,40}["']))?(${THOUSANDS}|${NUMBER})(?=%|$|[\s,;|)\]}"'/${MARK}])`,
  'g',
);
/** A duration, a part of a tuple, a fraction such as 98/100: not a value. */
const NOT_VALUE = /^(?:\/|,\d|\s(?:[nu\u00b5m]?s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?)\b)/;
const DELIMITER = new RegExp(String.raw`[,;|()[\]{}\t${MARK}>]|\s-+\s|\s\s|:\s|(?<=\d%)\s`);
const WORD = /^[A-Za-z_][\w./@-]*$/;
/** The longest name, in words: longer ones are prose. */
const MAX_WORDS = 3;
const PROSE = /^(?:of|to|for|the|a|an|in|with|and|at|from|is|was|than|by|on)$/i;
/** A line of a source file, `train.py:100`. */
const SOURCE = /\.(?:py|ipynb|cc|cpp|cu|h)$/;
/** Before the first name of a line; it belongs to the names behind as well: `val Loss: 0.5 Acc: 0.9`. */
const PHASE = /^(train|training|val|valid|validation|test|eval)\s+(?=\S)/i;

/** A name of one word behind a blank or a delimiter, as most are: the same as the long way finds, and faster. */
const ONE_WORD = new RegExp(String.raw`^( |[,;|\t${MARK}] ?)?([A-Za-z_][\w./@-]*)$`);

interface Named {
  readonly name: string;
  /** There is a delimiter between the name and the value before. */
  readonly isApart: boolean;
  readonly phase: string | null;
}

/** The pairs `name=value` and `name: value` of a line. */
export function readPairs(line: string): Reading[] {
  const readings: Reading[] = [];
  let from = 0;
  let phase: string | null = null;
  PAIR.lastIndex = 0;
  for (let match = PAIR.exec(line); match !== null; match = PAIR.exec(line)) {
    const before = line.slice(from, match.index);
    from = match.index + match[0].length;
    if (isNotValue(line, from)) continue;
    const named = nameBefore(before);
    const text = match[1] ?? '';
    const value = parseValue(text.includes(',') ? text.replaceAll(',', '') : text);
    if (named === null || value === null) continue;
    let { name } = named;
    if (readings.length === 0) phase = named.phase;
    else if (phase !== null && named.phase === null && !named.isApart) name = `${phase} ${name}`;
    if (isMetricName(name) && !isNoise(name)) readings.push({ name, value });
  }
  return readings;
}

function isNotValue(line: string, from: number): boolean {
  // A slash, a comma, or one of the blanks: most values have something else, or nothing, behind them.
  const next = line.charCodeAt(from);
  if (next !== 0x2f && next !== 0x2c && !(next <= 0x20) && !(next > 0x7f)) return false;
  return NOT_VALUE.test(line.slice(from, from + 10));
}

/** null: there is no name. */
function nameBefore(text: string): Named | null {
  const [, delimiter = '', word] = ONE_WORD.exec(text) ?? [];
  if (word !== undefined) {
    return isName(word) ? { name: word, isApart: delimiter !== '' && delimiter !== ' ', phase: null } : null;
  }
  const parts = text.replace(/^%/, '').split(DELIMITER);
  const name = lastWords(parts.at(-1) ?? '');
  return name === null ? null : { name, isApart: parts.length > 1, phase: PHASE.exec(name)?.[1] ?? null };
}

const isName = remembered((word) => !PROSE.test(word) && !SOURCE.test(word));

/** The words at the end of a text, as far as they can be a name. */
function lastWords(text: string): string | null {
  // Of Python's logging: INFO:root:loss=0.5.
  const words = text
    .trim()
    .replace(/^[-*\u2022]\s*/, '')
    .replace(/^(?:DEBUG|INFO|WARNING|ERROR)(?::[\w.]+)*:/, '')
    .split(' ');
  const other = words.findLastIndex((word) => !WORD.test(word));
  const name = words.slice(other + 1);
  const isName = name.length > 0 && name.length <= MAX_WORDS && !PROSE.test(name[0] ?? '');
  return isName && !SOURCE.test(name.at(-1) ?? '') ? name.join(' ') : null;
}

const ITEM = new RegExp(
  String.raw`^(?:[\s\w]{0,40}:(?=\s))?[\s:*]*([A-Za-z_][\w./@-]*(?: [A-Za-z_][\w./@-]*){0,2})\s+(${THOUSANDS}|${NUMBER})\s*%?(?:\s*\([^()]*\))?\.?\s*$`,
);
const NEXT_ITEM = new RegExp(
  String.raw`\s*([A-Za-z_][\w./@-]*)\s+(${NUMBER})(?:%|([a-z/]{1,8}))?(?:\s*\([^()]*\))?(?=\s|$)`,
  'y',
);

/** Of every text that has one. */
const MAY_HAVE_ITEM = /[\w./@-]\s+[+-]?(?:[\d.]|nan|inf)/i;
const BETWEEN_ITEMS = new RegExp(String.raw`[\s${MARK}]-\s|,(?!\d{3})|[|;\t${MARK}]`);

/** The items `name value`, between commas, bars or tabs. Only measures: prose has words and numbers too. */
export function readItems(text: string): Reading[] {
  if (!MAY_HAVE_ITEM.test(text)) return [];
  return text.split(BETWEEN_ITEMS).flatMap((item) => {
    const match = ITEM.exec(item);
    return match === null ? readRunOn(item) : named(match[1], match[2]);
  });
}

/** `Acc@1 76.130 Acc@5 92.862`, and nothing else. */
function readRunOn(text: string): Reading[] {
  const readings: Reading[] = [];
  const item = text.replace(/^(?:\s*\w+:(?=\s))?[\s*:]*/, '').trimEnd();
  NEXT_ITEM.lastIndex = 0;
  while (NEXT_ITEM.lastIndex < item.length) {
    const match = NEXT_ITEM.exec(item);
    if (match === null) return [];
    if (match[3] === undefined) readings.push(...named(match[1], match[2]));
  }
  return readings;
}

function named(name = '', text = ''): Reading[] {
  const value = parseValue(text.replaceAll(',', ''));
  // `reducing lr to 1e-4` is prose.
  const isOne = isMeasure(name.slice(name.lastIndexOf(' ') + 1)) || /learning rate$/i.test(name);
  return value !== null && isMetricName(name) && isOne ? [{ name, value }] : [];
}

export interface CountedLine {
  readonly count: Count;
  readonly readings: readonly Reading[];
}

/** A line with an epoch or a step on it. null: another one. */
export function readLine(line: string): CountedLine | null {
  const count = findCount(line);
  if (count === null) return null;
  const readings = readBoth(count.rest);
  return { count, readings: readings.length > 0 && isListOfSettings(line) ? [] : readings };
}

/** Pairs and items. */
export function readBoth(text: string): Reading[] {
  const pairs = readPairs(text);
  const items = readItems(text);
  if (items.length === 0) return pairs;
  const names = new Set(pairs.map(({ name }) => name));
  return [...pairs, ...items.filter(({ name }) => !names.has(name))];
}
