import { isMetricName, type Reading, type Readings } from './point.ts';
import { NUMBER, parseValue } from './values.ts';

/** What XGBoost, LightGBM and CatBoost print for each round. */

const XGBOOST_ROUND = /(?:^|\s)\[(\d{1,15})\]\t(.*)$/;
const LIGHTGBM_ITERATION = /^\[LightGBM\] \[Info\] Iteration:\s*(\d{1,15}), (.*)$/;
const ITEM = new RegExp(String.raw`^([^:]{1,80}?)\s*:\s*(${NUMBER})(?:\s*\+\s*[\d.eE+-]+)?$`);

/** @returns null for a line of another form */
export function readRound(line: string): Readings | null {
  const match = line.includes(']\t')
    ? (XGBOOST_ROUND.exec(line) ?? LIGHTGBM_ITERATION.exec(line))
    : line.startsWith('[LightGBM]')
      ? LIGHTGBM_ITERATION.exec(line)
      : null;
  if (match === null) return null;
  const readings: Reading[] = [];
  for (const item of (match[2] ?? '').split(/\t|, /)) {
    const pair = ITEM.exec(item.trim());
    // LightGBM: "valid_0's auc"; the mark of the genitive is not of a name.
    const name = (pair?.[1] ?? '').replace("'s ", ' ').trim();
    const value = parseValue(pair?.[2] ?? '');
    if (value !== null && isMetricName(name)) readings.push({ name, value });
  }
  return readings.length === 0 ? null : { step: Number(match[1]), readings };
}

const CATBOOST = /^(\d{1,15}):\t(.*\ttotal: .*)$/;
const CATBOOST_TIMES = new Set(['total', 'remaining', 'best']);

/** @returns null for a line of another form */
export function readCatBoost(line: string): Readings | null {
  const match = CATBOOST.exec(line);
  if (match === null) return null;
  const readings = (match[2] ?? '').split('\t').flatMap((item): Reading[] => {
    const [name = '', text = ''] = item.split(': ');
    const value = parseValue(text.trim());
    return value === null || CATBOOST_TIMES.has(name) || !isMetricName(name) ? [] : [{ name, value }];
  });
  return { step: Number(match[1]), readings };
}
