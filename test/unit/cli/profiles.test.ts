import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Account } from '../../../cli/account/account.ts';
import { requireProfile } from '../../../cli/account/profiles.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-profiles-'));
  vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'config'));
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'credentials'));
  writeFileSync(
    join(folder, 'config'),
    '[default]\nregion = eu-west-1\n[profile dev]\nregion = eu-west-1\n[sso-session corp]\nsso_region = x\n[services s]\ns3 = x\n',
  );
  writeFileSync(join(folder, 'credentials'), '[ops]\naws_access_key_id = a\naws_secret_access_key = b\n');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

describe('an AWS profile', () => {
  it.each(['default', 'dev', 'ops', undefined])('%s is accepted', async (name) => {
    await expect(requireProfile(name, {})).resolves.toBeUndefined();
  });

  it('that does not exist is named, with those that do, the nearest first', async () => {
    await expect(requireProfile('opps', {})).rejects.toMatchObject({
      message: 'The AWS profile opps does not exist.',
      next: 'Profiles that exist: ops, dev, default. To make one: aws configure --profile opps',
      exitCode: 2,
    });
    await expect(requireProfile(undefined, { AWS_PROFILE: 'corp' })).rejects.toThrow('corp (from AWS_PROFILE)');
  });

  it('is checked before anything is asked of AWS', async () => {
    await expect(new Account({ profile: 'nope' }).output('machine')).rejects.toThrow('The AWS profile nope does not');
  });
});
