import { isMetricName, type Reading, type Readings, type Value } from './point.ts';
import type { BoxState, Separator, Table, TableState } from './state.ts';
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

export class TableReader {
  #table: Table | null = null;
  #others = 0;
  #last = Number.NEGATIVE_INFINITY;

  constructor(state: TableState | null = null) {
    if (state === null) return;
    this.#table = state;
    this.#others = state.others;
    this.#last = state.last ?? Number.NEGATIVE_INFINITY;
  }

  /** null: no table is open. */
  get state(): TableState | null {
    const last = Number.isFinite(this.#last) ? this.#last : null;
    return this.#table === null ? null : { ...this.#table, others: this.#others, last };
  }

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
  #rows: Map<string, Value> | null = null;
  /** Rows of the box, of which some have no value that is kept. */
  #size = 0;
  #group = '';

  constructor(state: BoxState | null = null) {
    if (state === null) return;
    [this.#rows, this.#size, this.#group] = [new Map(state.rows), state.size, state.group];
  }

  /** null: no box is open. */
  get state(): BoxState | null {
    return this.#rows && { rows: [...this.#rows], size: this.#size, group: this.#group };
  }

  /** A part of the log is not read: whatever box is open has lost rows. */
  skip(): void {
    this.#rows = null;
  }

  /** @returns null for a line that ends no box */
  read(line: string): Readings | null {
    if (BOX_EDGE.test(line)) {
      const rows = this.#rows;
      [this.#rows, this.#size, this.#group] = [new Map(), 0, ''];
      return rows === null || rows.size === 0 ? null : readBox(rows);
    }
    if (this.#rows === null) return null;
    const [row, name = '', text = ''] = BOX_ROW.exec(line) ?? [];
    if (row === undefined || this.#size >= BOX_ROWS) this.#rows = null;
    else if (text === '') this.#group = name.endsWith('/') ? name : '';
    else this.#keep(this.#group + name, parseValue(text));
    return null;
  }

  #keep(name: string, value: Value | null): void {
    this.#size += 1;
    if (value !== null && isMetricName(name)) this.#rows?.set(name, value);
    else this.#rows?.delete(name);
  }
}

function readBox(rows: ReadonlyMap<string, Value>): Readings | null {
  const key = BOX_STEPS.find((name) => rows.has(name));
  const step = rows.get(key ?? '');
  if (typeof step !== 'number') return null;
  const readings = [...rows].filter(([name]) => !name.startsWith('time/'));
  return { step, readings: readings.map(([name, value]) => ({ name, value })) };
}
