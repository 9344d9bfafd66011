import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { projectRoot } from '../../local/cloud/paths.ts';
import { CLAIMS } from '../../verify/claims.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { shellEnvironment } from '../support/cloud/runctl.ts';

it('what verify:aws would prove on an account, as far as a local cloud can show it', async () => {
  const { instanceId } = await Cloud.connect();
  const words = ['--import', 'tsx', 'verify/main.ts', '--instance', instanceId, '--local', '--yes'];
  const { stdout } = await promisify(execFile)(process.execPath, words, {
    cwd: projectRoot,
    env: await shellEnvironment(),
  });
  const here = CLAIMS.filter(({ onAwsOnly }) => !onAwsOnly);
  expect(stdout.match(/^proved {2}/gm)).toHaveLength(here.length);
  expect(stdout).toContain('not looked at: permissions');
});
