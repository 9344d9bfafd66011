import { isMetricName, type Reading, type Readings } from './point.ts';
import { NUMBER, parseValue } from './values.ts';

/** What XGBoost and LightGBM print for each round, and the table of scikit-learn's gradient boosting. */

const XGBOOST_ROUND = /(?:^|\s)\[(\d{1,15})\]\t(.*)$/;
const LIGHTGBM_ITERATION = /^\[LightGBM\] \[Info\] Iteration:\s*(\d{1,15}), (.*)$/;
const ITEM = new RegExp(String.raw`^([^:]{1,80}?)\s*:\s*(${NUMBER})(?:\s*\+\s*[\d.eE+-]+)?$`);

/** @returns null for a line of another form */
export function readRound(line: string): Readings | null {
  const match = XGBOOST_ROUND.exec(line) ?? LIGHTGBM_ITERATION.exec(line);
  if (match === null) return null;
  const readings: Reading[] = [];
  for (const item of (match[2] ?? '').split(/\t|, /)) {
    const pair = ITEM.exec(item.trim());
    // LightGBM: "valid_0's auc"; the mark of the genitive is not of a name.
    const name = (pair?.[1] ?? '').replace("'s ", ' ').trim();
    const value = parseValue(pair?.[2] ?? '');
    if (value !== null && isMetricName(name)) readings.push({ name, value });
  }
  return { step: Number(match[1]), readings };
}

const TABLE_HEAD = /^\s*Iter\s{2,}(.*)$/;

/** The columns of a table of scikit-learn's gradient boosting. null: the line is not its head. */
export function readTableHead(line: string): readonly string[] | null {
  const columns = TABLE_HEAD.exec(line)?.[1]
    ?.trim()
    .split(/\s{2,}/);
  return columns?.includes('Remaining Time') ? columns : null;
}

/** @returns null for a line that is not a row of the table */
export function readTableRow(line: string, columns: readonly string[]): Readings | null {
  const [step, ...cells] = line.trim().split(/\s+/);
  if (!/^\d{1,15}$/.test(step ?? '') || cells.length !== columns.length) return null;
  const readings = columns.flatMap((name, index) => {
    const value = parseValue(cells[index] ?? '');
    return value === null || name === 'Remaining Time' || !isMetricName(name) ? [] : [{ name, value }];
  });
  return { step: Number(step), readings };
}
