const MINUTE_MS = 60_000;

/** Whether there is a time zone of this IANA name. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false; // RangeError: there is none of this name.
  }
}

/**
 * The instant at which clocks in a time zone show a time; of two, when they are put back, the first.
 * @param wall what the clocks show, as if they showed UTC, in epoch milliseconds
 * @returns epoch milliseconds; null when the clocks never show it, since they are put forward over it
 */
export function instantOf(wall: number, timezone: string): number | null {
  // No zone is further from UTC than a day: the offsets before and after any change close by are among these.
  const offsets = [wall - 24 * 60 * MINUTE_MS, wall + 24 * 60 * MINUTE_MS].map((near) => offsetAt(near, timezone));
  const instants = offsets.map((offset) => wall - offset).sort((a, b) => a - b);
  return instants.find((instant) => instant + offsetAt(instant, timezone) === wall) ?? null;
}

/** What clocks in a time zone show at an instant, as {@link instantOf} takes it. */
export function wallAt(instant: number, timezone: string): number {
  return instant + offsetAt(instant, timezone);
}

/** How far clocks in a time zone are ahead of UTC, in milliseconds. */
function offsetAt(instant: number, timezone: string): number {
  const format = new Intl.DateTimeFormat('en', {
    timeZone: timezone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(instant / 1_000) * 1_000;
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/** `Wed 2026-11-25 02:00`, as clocks in the time zone show it. */
export function formatWall(instant: number, timezone: string): string {
  const wall = new Date(wallAt(instant, timezone));
  return `${WEEKDAYS[wall.getUTCDay()]} ${wall.toISOString().slice(0, 16).replace('T', ' ')}`;
}
