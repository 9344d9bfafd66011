import { isMetricName, type Reading, type Readings } from './point.ts';
import { EPOCH_KEYS, isMeasure, isNoise, parseValue, STEP_KEYS } from './values.ts';

/** Tables that have a line for each epoch or step, below the names of their columns: those of fastai, skorch, scikit-learn, spaCy, and CSV. */

const STEPS: ReadonlySet<string> = new Set([...STEP_KEYS, '#']);
const EPOCHS: ReadonlySet<string> = new Set([...EPOCH_KEYS, 'e']);
/** Columns of the head of a table. */
const HEAD = /^[\s|]*["']?(?:#|e|epoch|step|global_step|iter|iteration|round|update)["']?\s*(?:[|,\t]|\s\s?)\s*\S/i;
const COLUMN = /^(?:#|[A-Za-z_][^,:]*)$/;
const RULE = /^[\s|+:=-]*$/;
/** Other lines between the lines of a table: behind more of them it is over. */
const OTHER_LINES = 100;

type Separator = '|' | ',' | '\t' | ' ';

interface Table {
  readonly separator: Separator;
  readonly names: readonly string[];
  readonly step: number;
}

export class TableReader {
  #table: Table | null = null;
  #others = 0;
  #last = Number.NEGATIVE_INFINITY;

  /** @returns null for a line that is not of a table */
  read(line: string): Readings | null {
    const head = readHead(line);
    if (head !== null) {
      [this.#table, this.#others, this.#last] = [head, 0, Number.NEGATIVE_INFINITY];
      return { step: null, readings: [] };
    }
    if (this.#table === null) return null;
    const row = RULE.test(line) ? null : readRow(line, this.#table);
    if (row !== null && row.step !== null && row.step >= this.#last) {
      [this.#others, this.#last] = [0, row.step];
      return row;
    }
    this.#others += 1;
    if (this.#others > OTHER_LINES) this.#table = null;
    return null;
  }
}

function readHead(line: string): Table | null {
  if (!HEAD.test(line) || /[{}[\]()=]|:\s/.test(line)) return null;
  for (const separator of ['|', '\t', ',', ' '] as const) {
    const names = separator === ' ' ? line.trim().split(/\s{2,}/) : cellsOf(line, separator);
    const table = tableOf(separator, names) ?? (separator === ' ' ? tableOf(separator, line.trim().split(' ')) : null);
    if (table !== null) return table;
  }
  return null;
}

function tableOf(separator: Separator, cells: readonly string[]): Table | null {
  const names = cells.map((name) => name.replace(/^(["'])(.*)\1$/, '$2'));
  const lower = names.map((name) => name.toLowerCase());
  const steps = lower.findIndex((name) => STEPS.has(name));
  const step = steps === -1 ? lower.findIndex((name) => EPOCHS.has(name)) : steps;
  const others = names.filter((_, index) => index !== step);
  if (step === -1 || others.length === 0 || !names.every((name) => COLUMN.test(name))) return null;
  return others.some(isMeasure) ? { separator, names, step } : null;
}

function cellsOf(line: string, separator: Separator): string[] {
  if (separator === ' ') return line.trim().split(/\s+/);
  const text = separator === '|' ? line.trim().replace(/^\||\|$/g, '') : line;
  return text.split(separator).map((cell) => cell.trim());
}

function readRow(line: string, { separator, names, step }: Table): Readings | null {
  const cells = cellsOf(line, separator);
  const [, count] = /^(\d{1,15})(?:\.0)?(?:\/\d{1,15})?$/.exec(cells[step] ?? '') ?? [];
  if (count === undefined || cells.length !== names.length) return null;
  const readings = names.flatMap((name, index): Reading[] => {
    const value = index === step ? null : parseValue((cells[index] ?? '').replace(/(\d)%$/, '$1'));
    return value === null || isNoise(name) || EPOCHS.has(name.toLowerCase()) || !isMetricName(name)
      ? []
      : [{ name, value }];
  });
  return { step: Number(count), readings };
}

const BOX_ROW = /^\|\s+(\S[^|]*?)\s*\|\s*([^|]*?)\s*\|$/;
const BOX_EDGE = /^-{10,}$/;
/** The keys that count, best first. */
const BOX_STEPS = ['time/total_timesteps', 'total_timesteps', 'time/iterations'];
const BOX_ROWS = 200;

/** The boxes of Stable-Baselines3: a line for each name, in groups, between two edges. The step is one of the values. */
export class BoxReader {
  #rows: Map<string, string> | null = null;
  #group = '';

  /** @returns null for a line that ends no box */
  read(line: string): Readings | null {
    if (BOX_EDGE.test(line)) {
      const rows = this.#rows;
      [this.#rows, this.#group] = [new Map(), ''];
      return rows === null || rows.size === 0 ? null : readBox(rows);
    }
    if (this.#rows === null) return null;
    const [row, name = '', value = ''] = BOX_ROW.exec(line) ?? [];
    if (row === undefined || this.#rows.size >= BOX_ROWS) this.#rows = null;
    else if (value === '') this.#group = name.endsWith('/') ? name : '';
    else this.#rows.set(this.#group + name, value);
    return null;
  }

  get isOpen(): boolean {
    return this.#rows !== null && this.#rows.size > 0;
  }
}

function readBox(rows: ReadonlyMap<string, string>): Readings | null {
  const key = BOX_STEPS.find((name) => rows.has(name));
  const step = parseValue(rows.get(key ?? '') ?? '');
  if (typeof step !== 'number') return null;
  const readings = [...rows].flatMap(([name, text]): Reading[] => {
    const value = parseValue(text);
    return value === null || name.startsWith('time/') || !isMetricName(name) ? [] : [{ name, value }];
  });
  return { step, readings };
}
