import { Cron } from 'croner';
import { instantOf, wallAt } from './wall-time.ts';

/** An expression that EventBridge would not take, or whose times we could not show truly. */
export class BadExpression extends Error {
  override readonly name = 'BadExpression';
}

interface Field {
  readonly name: string;
  readonly last: number;
  /** What AWS allows: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html */
  readonly form: RegExp;
  readonly hint: string;
}

const MONTH = '(?:\\d{1,2}|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)';
const DAY = '(?:[1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)';

const FIELDS: readonly Field[] = [
  { name: 'minutes', last: 59, form: list('\\d{1,2}'), hint: '0-59' },
  { name: 'hours', last: 23, form: list('\\d{1,2}'), hint: '0-23' },
  { name: 'day of month', last: 31, form: list('\\d{1,2}', '\\?|L|\\d{1,2}W'), hint: '1-31, ?, L, 15W' },
  { name: 'month', last: 12, form: list(MONTH), hint: '1-12 or JAN-DEC' },
  {
    name: 'day of week',
    last: 7,
    form: list(DAY, `\\?|L|${DAY}L|${DAY}#[1-5]`),
    hint: '1-7 (1 is Sunday) or SUN-SAT, ?, L, 6L, 6#3',
  },
  { name: 'year', last: 2199, form: list('\\d{4}'), hint: '1970-2199' },
];
/** So many wall times in a row that no clock shows would be a mistake of ours: a gap is an hour, of 60 minutes. */
const MOST_SKIPPED = 1_000;

/** `*`, values, ranges and steps, separated by commas; or, alone, one of `special`. */
function list(value: string, special = '(?!)'): RegExp {
  const item = `(?:\\*|${value}(?:-${value})?)(?:/\\d{1,4})?`;
  return new RegExp(`^(?:${special}|${item}(?:,${item})*)$`);
}

/** The six fields of `cron(…)` in EventBridge's syntax. */
export class AwsCron {
  readonly #cron: Cron;

  /** @throws BadExpression naming the field */
  constructor(text: string) {
    const fields = text.trim().toUpperCase().split(/\s+/);
    if (fields.length !== FIELDS.length)
      throw new BadExpression(
        `cron(${text}) has ${fields.length} fields; EventBridge takes six: ${FIELDS.map(({ name }) => name).join(', ')}`,
      );
    FIELDS.forEach(({ name, form, hint }, index) => {
      if (!form.test(fields[index] ?? ''))
        throw new BadExpression(`cron(${text}): ${name} is ${fields[index]}; it takes ${hint}`);
    });
    if ((fields[2] === '?') === (fields[4] === '?'))
      throw new BadExpression(`cron(${text}): exactly one of day of month and day of week must be ?`);
    const pattern = ['0', ...fields.map((field, index) => translate(field, index))].join(' ');
    try {
      // In UTC: clocks are put back and forward by us, since EventBridge does it in another way than Croner.
      this.#cron = new Cron(pattern, { mode: '7-part', alternativeWeekdays: true, timezone: 'UTC', paused: true });
    } catch (error) {
      throw new BadExpression(`cron(${text}): ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /**
   * The next times after an instant, fewer than `count` when it ends. As EventBridge does it, a time that the clocks skip is skipped, and one that they
   * show twice counts once.
   */
  next(count: number, after: number, timezone: string): number[] {
    const times: number[] = [];
    let wall: Date | null = new Date(wallAt(after, timezone));
    for (let skipped = 0; times.length < count && skipped < MOST_SKIPPED; ) {
      wall = this.#cron.nextRun(wall);
      if (wall === null) break;
      const instant = instantOf(wall.getTime(), timezone);
      // Not after: the clocks show it for the second time.
      if (instant === null || instant <= after) skipped += 1;
      else times.push(instant);
    }
    return times;
  }
}

/** Writes a field of EventBridge's as Croner takes it. */
function translate(field: string, index: number): string {
  const { last = 0 } = FIELDS[index] ?? {};
  if (field === '?') return '*';
  if (index === 4 && field === 'L') return '7'; // the last day of the week
  const lastOfMonth = index === 4 && /^(.+)L$/.exec(field);
  if (lastOfMonth) return `${lastOfMonth[1]}#L`;
  // `5/15` is `5-59/15`.
  return field.replace(/(^|,)(\w+)\/(\d+)/g, (_, before, from, step) => `${before}${from}-${last}/${step}`);
}
