import { expect, it } from 'vitest';
import { TransferText } from '../../../cli/terminal/transfer-text.ts';

const MIB = 1024 * 1024;

it('shows rate and time left from two seconds on, of what has arrived since the first time', () => {
  let now = 5_000;
  const text = new TransferText('Uploading', () => now);
  expect(text.at(10 * MIB, 40 * MIB)).toBe('Uploading 10.0 MiB of 40.0 MiB');
  now += 1_900;
  expect(text.at(14 * MIB, 40 * MIB)).toBe('Uploading 14.0 MiB of 40.0 MiB');
  now += 2_100;
  expect(text.at(20 * MIB, 40 * MIB)).toBe('Uploading 20.0 MiB of 40.0 MiB, 2.5 MiB/s, 8.0 s left');
  expect(text.at(10 * MIB, 40 * MIB)).toBe('Uploading 10.0 MiB of 40.0 MiB');
});
