import { RootConstruct } from 'constructs';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CAPS } from '../../../core/archive/caps.ts';
import { readConfig } from '../../../lib/config.ts';

/** An App would leave a folder in the temporary one. */
function read(context: Record<string, unknown>) {
  const { node } = new RootConstruct();
  for (const [key, value] of Object.entries(context)) node.setContext(key, value);
  return readConfig(node, '/bundles');
}

const schedule = { name: 'nightly', expression: 'rate(1 day)', spec: { archive: 's3://b/k.tar.gz' } };

describe('readConfig', () => {
  it('has defaults', () => {
    expect(read({})).toEqual({
      bundles: '/bundles',
      local: false,
      architecture: 'arm64',
      logRetentionDays: 90,
      archiveCaps: DEFAULT_CAPS,
      durationLimits: {},
      schedules: [],
      notifyEmails: [],
      waitingMinutes: 30,
      silentMinutes: 60,
      uploadConcurrency: null,
    });
  });

  it('reads what the command line gives: text', () => {
    const config = read({
      'runctl:local': 'true',
      'runctl:logRetentionDays': '30',
      'runctl:architecture': 'x86_64',
      'runctl:archiveCaps': '{"entries": 5}',
      'runctl:durationLimits': '{"maxDuration": "3d"}',
      'runctl:schedules': JSON.stringify([schedule]),
    });
    expect(config).toMatchObject({
      local: true,
      logRetentionDays: 30,
      architecture: 'x86_64',
      archiveCaps: { ...DEFAULT_CAPS, entries: 5 },
      durationLimits: { maxDuration: '3d' },
      schedules: [{ ...schedule, timezone: 'UTC' }],
    });
  });

  it.each([
    ['local', 'yes', /context runctl:local/],
    ['architecture', 'arm', /context runctl:architecture.*arm64/s],
    ['logRetentionDays', 42, /context runctl:logRetentionDays.*is one of 1, 3, 5/s],
    ['archiveCaps', { files: 5 }, /context runctl:archiveCaps.*files/s],
    ['archiveCaps', { entries: -5 }, /context runctl:archiveCaps.*entries/s],
    ['archiveCaps', { depth: 201 }, /context runctl:archiveCaps.*depth/s],
    ['durationLimits', { maxCost: '3d' }, /context runctl:durationLimits.*maxCost is not one of maxDuration/s],
    ['durationLimits', { maxWait: '40d' }, /context runctl:durationLimits.*maxWait may be 30d at most/s],
    ['durationLimits', { maxWait: 3 }, /context runctl:durationLimits.*maxWait/s],
    ['uploadConcurrency', 0, /context runctl:uploadConcurrency/],
    ['silentMinutes', 1, /context runctl:silentMinutes/],
    ['waitingMinutes', 0, /context runctl:waitingMinutes/],
    ['notifyEmails', ['nobody'], /context runctl:notifyEmails/],
    ['notifyEmail', ['a@example.org'], /context runctl:notifyEmail: there is no such key.*runctl:notifyEmails/],
    ['schedules', '[{', /context runctl:schedules is not JSON/],
    ['schedules', schedule, /context runctl:schedules/],
    ['schedules', [{ ...schedule, name: 'no spaces' }], /context runctl:schedules.*name/s],
    ['schedules', [{ ...schedule, expression: '1 day' }], /context runctl:schedules.*expression/s],
    ['schedules', [{ ...schedule, timezone: 'Berlin' }], /context runctl:schedules.*timezone/s],
    ['schedules', [{ ...schedule, cron: 'x' }], /context runctl:schedules.*cron/s],
    [
      'schedules',
      [{ ...schedule, spec: { archve: 's3://b/k' } }],
      /runctl:schedules, nightly: .*archve.*did you mean archive/,
    ],
    ['schedules', [{ ...schedule, spec: { script: 'a.py' } }], /runctl:schedules, nightly: the spec needs an archive/],
  ])('names the bad value of %s: %j', (key, value, says) => {
    expect(() => read({ [`runctl:${key}`]: value })).toThrow(says);
  });
});
