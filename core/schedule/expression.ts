import { AwsCron, BadExpression } from './aws-cron.ts';
import { instantOf } from './wall-time.ts';

export { BadExpression } from './aws-cron.ts';

const UNITS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
const DAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];

/** When a schedule starts runs: what EventBridge Scheduler is given, and when that is. Times are epoch milliseconds. */
export interface ScheduleTimes {
  /** `cron(…)`, `rate(…)` or `at(…)`. */
  readonly expression: string;
  /**
   * The next times after `after`; fewer when it ends.
   * @param since when the schedule was made: a rate counts from there, and begins there
   */
  next(count: number, after: number, since: number): number[];
}

/**
 * Reads when a schedule is to start runs: EventBridge's own `cron(…)`, `rate(…)` and `at(…)`, or plainer words: `daily 02:00`, `weekdays 07:30`, `mon 06:00`,
 * `every 6h`.
 * @throws BadExpression
 */
export function readSchedule(text: string, timezone: string): ScheduleTimes {
  const expression = fromWords(text.trim());
  const [, kind, inner = ''] = /^(cron|rate|at)\((.*)\)$/.exec(expression) ?? [];
  if (kind === 'cron') {
    const cron = new AwsCron(inner);
    return { expression, next: (count, after) => cron.next(count, after, timezone) };
  }
  if (kind === 'rate') return rate(expression, inner);
  if (kind === 'at') return once(expression, inner, timezone);
  throw new BadExpression(
    `"${text}" is not a time: write daily 02:00, weekdays 07:30, mon 06:00, every 6h, or EventBridge's cron(0 2 * * ? *), rate(6 hours), at(2026-12-24T18:00:00)`,
  );
}

function fromWords(text: string): string {
  const every = /^every (\d+) ?(m|h|d)$/i.exec(text);
  if (every) {
    const unit = { m: 'minute', h: 'hour', d: 'day' }[every[2]?.toLowerCase() ?? ''];
    return `rate(${every[1]} ${unit}${Number(every[1]) === 1 ? '' : 's'})`;
  }
  const [, day = '', hour, minute] = /^(\w+) ([01]?\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  const days = day.toLowerCase() === 'weekdays' ? 'MON-FRI' : DAYS.find((name) => name === day.toUpperCase());
  const clock = `${Number(minute)} ${Number(hour)}`;
  if (day.toLowerCase() === 'daily') return `cron(${clock} * * ? *)`;
  return days === undefined ? text : `cron(${clock} ? * ${days} *)`;
}

function rate(expression: string, inner: string): ScheduleTimes {
  const [, value, unit] = /^([1-9]\d{0,5}) (minute|hour|day)s?$/.exec(inner) ?? [];
  const plural = inner.endsWith('s');
  if (value === undefined || plural === (Number(value) === 1))
    throw new BadExpression(`${expression}: write rate(5 minutes), rate(1 hour), rate(2 days)`);
  const step = Number(value) * UNITS[unit as keyof typeof UNITS];
  return {
    expression,
    next(count, after, since) {
      const first = Math.max(0, Math.floor((after - since) / step) + 1);
      return Array.from({ length: count }, (_, index) => since + (first + index) * step);
    },
  };
}

function once(expression: string, inner: string, timezone: string): ScheduleTimes {
  const wall = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(inner) ? Date.parse(`${inner}Z`) : Number.NaN;
  // A day that no month has is read as one of the next.
  if (Number.isNaN(wall) || !new Date(wall).toISOString().startsWith(inner))
    throw new BadExpression(`${expression}: write at(2026-12-24T18:00:00), in the schedule's time zone`);
  const instant = instantOf(wall, timezone);
  if (instant === null) throw new BadExpression(`${expression}: no clock in ${timezone} shows that time`);
  return { expression, next: (_, after) => (instant > after ? [instant] : []) };
}
