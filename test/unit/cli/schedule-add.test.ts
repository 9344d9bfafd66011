import { afterEach, describe, expect, it, vi } from 'vitest';
import { chooseTimezone } from '../../../cli/schedules/add.ts';

afterEach(() => vi.restoreAllMocks());

/** Has the machine this time zone. */
function machineIn(timeZone: string) {
  const options = new Intl.DateTimeFormat().resolvedOptions();
  vi.spyOn(Intl.DateTimeFormat.prototype, 'resolvedOptions').mockReturnValue({ ...options, timeZone });
}

describe('the time zone of a schedule', () => {
  it("is the machine's, unless one is named", () => {
    machineIn('Europe/Berlin');
    expect(chooseTimezone(undefined)).toEqual({ value: 'Europe/Berlin', from: "this machine's" });
    expect(chooseTimezone('UTC')).toEqual({ value: 'UTC', from: '--timezone' });
  });

  it('must be named on a machine that has none, as with TZ= in its environment', () => {
    machineIn('Etc/Unknown');
    expect(() => chooseTimezone(undefined)).toThrow('The time zone of this machine is not known (Etc/Unknown).');
    expect(() => chooseTimezone('Berlin')).toThrow('The time zone Berlin is unknown.');
  });
});
