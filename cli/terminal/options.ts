import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../../core/units.ts';

/** Reads the value of an option. @throws InvalidArgumentError, which commander reports with the option's name */
export function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number of at least 1.');
}

/** `90s`, `10m`, `2h`, `1d` → seconds. */
export function duration(text: string): number {
  if (/^\d{1,6}[smhd]$/.test(text)) return parseDuration(text);
  throw new InvalidArgumentError('It must be a duration such as 90s, 10m, 2h or 1d.');
}
