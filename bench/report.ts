/** One line of the bench: a measured value and its target. */
export interface Row {
  readonly name: string;
  readonly value: number | null;
  readonly unit: 'ms' | 's' | 'bytes' | 'MB/s' | 'MB' | 'x' | '$' | '';
  /** The target; null if the value is shown for comparison only. */
  readonly target: { readonly is: 'most' | 'least'; readonly value: number } | null;
  /** Why there is no value, or details of it. */
  readonly note?: string;
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

export const atMost = (value: number) => ({ is: 'most', value }) as const;
export const atLeast = (value: number) => ({ is: 'least', value }) as const;

/** Whether the target is met; null without a target or a value. */
export function reached({ value, target }: Row): boolean | null {
  if (value === null || target === null) return null;
  return target.is === 'most' ? value <= target.value : value >= target.value;
}

/** The rows as a table for a person. */
export function tableOf({ title, rows }: Section): string[] {
  const cells = rows.map((row) => [row.name, format(row.value, row), targetOf(row), verdict(row), row.note ?? '']);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((cell) => cell[column]?.length ?? 0)));
  const lines = cells.map(([name = '', value = '', target = '', good = '', note = '']) =>
    `  ${name.padEnd(widths[0] ?? 0)}  ${value.padStart(widths[1] ?? 0)}  ${target.padEnd(widths[2] ?? 0)}  ${good.padEnd(widths[3] ?? 0)}  ${note}`.trimEnd(),
  );
  return [title, ...lines, ''];
}

export function format(value: number | null, row: Pick<Row, 'unit'>): string {
  const { unit } = row;
  if (value === null) return '-';
  const digits = Number.isInteger(value) || value >= 100 ? 0 : row.unit === '$' ? 4 : 2;
  return `${value.toLocaleString('en-US', { maximumFractionDigits: digits })}${unit === '' ? '' : ` ${unit}`}`;
}

function targetOf(row: Row): string {
  if (row.target === null) return '';
  return `${row.target.is === 'most' ? '≤' : '≥'} ${format(row.target.value, row)}`;
}

function verdict(row: Row): string {
  const good = reached(row);
  return good === null ? '' : good ? 'ok' : 'MISSED';
}
