/** Positions on an axis, and how they are written. Ranges may reach over all doubles. */

export interface Tick {
  readonly at: number;
  readonly label: string;
}

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;
const DURATIONS = [1, 2, 5, 10, 15, 30, MINUTE, 120, 300, 600, 900, 1_800, HOUR, 7_200, 10_800, 21_600, 43_200, DAY];

/** The lowest and the highest; of none, infinities. Not Math.min(...values), which takes 100,000 of them at most. */
export function extent(values: Iterable<number>): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

/** About so many round numbers between two numbers. */
export function linearTicks(low: number, high: number, count: number): Tick[] {
  const step = roundStep(low, high, count);
  if (step === null) return [low, high].map((at) => ({ at, label: formatNumber(at) }));
  return multiples(low, high, step).map((at) => ({ at, label: formatNumber(at, step) }));
}

/** Powers of ten; between few of them also 2 and 5 times the powers. Both ends are positive. */
export function logTicks(low: number, high: number, count: number): Tick[] {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const decades = last - first;
  const every = Math.max(1, Math.ceil(decades / count));
  const factors = decades <= 2 ? [1, 2, 5] : [1];
  const ticks: Tick[] = [];
  for (let power = first; power <= last; power += every)
    for (const factor of factors) {
      const at = Number(`${factor}e${power}`);
      if (at >= low && at <= high) ticks.push({ at, label: formatNumber(at) });
    }
  return ticks.length >= 2 ? ticks : linearTicks(low, high, count);
}

/** Durations, in seconds: `0`, `30 s`, `5 min`, `2 h`, `3 d`. */
export function durationTicks(low: number, high: number, count: number): Tick[] {
  const rough = (high - low) / count;
  if (rough < 1) return linearTicks(low, high, count).map(({ at, label }) => ({ at, label: `${label} s` }));
  const step = DURATIONS.find((duration) => duration >= rough) ?? DAY * (roundStep(low / DAY, high / DAY, count) ?? 1);
  return multiples(low, high, step).map((at) => ({ at, label: formatElapsed(at, step) }));
}

function formatElapsed(seconds: number, step: number): string {
  if (seconds === 0) return '0';
  const [size, unit] =
    step >= DAY ? [DAY, 'd'] : step >= HOUR / 2 ? [HOUR, 'h'] : step >= MINUTE ? [MINUTE, 'min'] : [1, 's'];
  return `${formatNumber(seconds / size)} ${unit}`;
}

/** 1, 2 or 5 times a power of ten. null: the numbers are too close, or too small, for one. */
function roundStep(low: number, high: number, count: number): number | null {
  // Halves: the difference of the largest numbers is infinite.
  const rough = ((high / 2 - low / 2) / count) * 2;
  const power = Number(`1e${Math.floor(Math.log10(rough))}`);
  const factor = [1, 2, 5, 10].find((one) => one * power >= rough * 0.999) ?? 10;
  const step = factor * power;
  const isUsable = step > 0 && Number.isFinite(step) && low + step > low && high - step < high;
  return isUsable ? step : null;
}

/** Bounded: where numbers are so large that the next multiple is the same number, there is no end to reach. */
function multiples(low: number, high: number, step: number): number[] {
  const first = Math.ceil(low / step - 1e-9);
  const found: number[] = [];
  for (let index = 0; index <= 50; index += 1) {
    const at = (first + index) * step;
    if (at > high + step * 1e-9) break;
    // Not -0.
    found.push(at === 0 ? 0 : at);
  }
  return found;
}

/**
 * A number for people: `0.3`, `12,500`, `2.5e-7`. Six digits.
 * @param step between ticks; as many digits as tell two of them apart
 */
export function formatNumber(value: number, step?: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  const digits = step === undefined ? 6 : Math.min(15, Math.max(1, magnitude(size) - magnitude(step) + 2));
  const rounded = Number(value.toPrecision(digits));
  const exponential = rounded.toExponential().replace('e+', 'e');
  if (size >= 1e9 || size < 1e-4) return exponential;
  return rounded.toLocaleString('en-US', { maximumSignificantDigits: 15 });
}

const magnitude = (value: number) => Math.floor(Math.log10(value));
