import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { projectRoot } from '../../local/cloud/paths.ts';
import { CLAIMS } from '../../verify/claims.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { shellEnvironment } from '../support/cloud/runctl.ts';

it('verify:aws passes on the local cloud, without the claims that need AWS', async () => {
  const { instanceId } = await Cloud.connect();
  const args = ['--import', 'tsx', 'verify/main.ts', '--instance', instanceId, '--local', '--yes'];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: projectRoot,
    env: await shellEnvironment(),
  });
  const given = { managed: false, launchTemplate: null };
  const checked = CLAIMS.filter(({ onAwsOnly, missing }) => !onAwsOnly && (missing?.(given) ?? null) === null);
  expect(checked).toHaveLength(4);
  expect(stdout.match(/^passed {2}/gm)).toHaveLength(checked.length);
  expect(stdout).toContain('not checked: permissions: it needs AWS');
  expect(stdout).toContain('not checked: power: the instance has no tag runctl:power=managed');
});
