import { isMetricName, type Reading } from './point.ts';
import { type Count, findCount, MARK } from './steps.ts';
import { isListOfSettings, isMeasure, isNoise, NUMBER, parseValue } from './values.ts';

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

/** The pairs `name=value` and `name: value` of a line. */
export function readPairs(line: string): Reading[] {
  const readings: Reading[] = [];
  let from = 0;
  let phase: string | null = null;
  for (const match of line.matchAll(PAIR)) {
    const before = line.slice(from, match.index);
    from = match.index + match[0].length;
    if (NOT_VALUE.test(line.slice(from, from + 10))) continue;
    const parts = before.replace(/^%/, '').split(DELIMITER);
    let name = lastWords(parts.at(-1) ?? '');
    const value = parseValue((match[1] ?? '').replaceAll(',', ''));
    if (name === null || value === null) continue;
    const found = PHASE.exec(name)?.[1] ?? null;
    if (readings.length === 0) phase = found;
    else if (phase !== null && found === null && parts.length === 1) name = `${phase} ${name}`;
    if (isMetricName(name) && !isNoise(name)) readings.push({ name, value });
  }
  return readings;
}

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

const BETWEEN_ITEMS = new RegExp(String.raw`[\s${MARK}]-\s|,(?!\d{3})|[|;\t${MARK}]`);

/** The items `name value`, between commas, bars or tabs. Only measures: prose has words and numbers too. */
export function readItems(text: string): Reading[] {
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
  return { count, readings: isListOfSettings(line) ? [] : readBoth(count.rest) };
}

/** Pairs and items. */
export function readBoth(text: string): Reading[] {
  const pairs = readPairs(text);
  const names = new Set(pairs.map(({ name }) => name));
  return [...pairs, ...readItems(text).filter(({ name }) => !names.has(name))];
}
