const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
const BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** `90s`, `30m`, `6h`, `2d` → seconds. The caller has checked the form. */
export function parseDuration(text: string): number {
  const unit = text.slice(-1) as keyof typeof SECONDS;
  return Number(text.slice(0, -1)) * SECONDS[unit];
}

/** `500MiB`, `1GiB` → bytes. The caller has checked the form. */
export function parseSize(text: string): number {
  const [, number = '', unit = 'B'] = /^([\d.]+)(\w+)$/.exec(text) ?? [];
  return Math.floor(Number(number) * BYTES[unit as keyof typeof BYTES]);
}

/** Seconds → `850 ms`, `12.3 s`, `4 min 05 s`, `3 h 20 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const two = (value: number) => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(Math.floor(seconds % 60))} s`;
  return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
}

/** `2,004`. @param value an integer */
export function formatCount(value: number): string {
  // Loading ICU for toLocaleString takes 25 ms.
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** `1 file`, `2,004 files`. @param noun in the singular; its plural has an s */
export function formatNumberOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** Bytes → `512 B`, `12.3 MiB`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < 3) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${['B', 'KiB', 'MiB', 'GiB'][unit]}`;
}

/** Six digits at most. */
export function formatNumber(value: number): string {
  return String(Number(value.toPrecision(6)));
}
