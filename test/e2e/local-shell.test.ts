import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { COMMAND, shellEnvironment } from '../support/cloud/runctl.ts';

let endpoint: string | undefined;
beforeAll(async () => {
  endpoint = (await shellEnvironment()).AWS_ENDPOINT_URL;
});

/** `runctl local shell`, typed into by a pipe. A person's own AWS settings stand in its environment. */
function shell(options: { state?: string; command?: string[]; input?: string; SHELL?: string }) {
  const { state = inject('cloudFolder'), command = [], input = '', SHELL = '/bin/sh' } = options;
  const words = [COMMAND, 'local', 'shell', '--state', state, '--', ...command];
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', SHELL, AWS_PROFILE: 'work' };
  return spawnSync(process.execPath, words, { input, env, encoding: 'utf8' });
}

describe('runctl local shell', () => {
  it.each(['/bin/sh', '/bin/bash'])('is %s with the environment set, and ends as it ends', (SHELL) => {
    const done = shell({ SHELL, input: 'echo "$AWS_ENDPOINT_URL $(printenv AWS_PROFILE || echo none)"\nexit 7\n' });
    expect(done).toMatchObject({ status: 7, stdout: `${endpoint} none\n` });
    expect(done.stderr).toContain('Type exit to leave it');
  });

  it('runs one command, its words taken as they are', () => {
    const done = shell({ command: ['sh', '-c', 'echo "$AWS_ENDPOINT_URL" "$1"', '-', 'a b  c'] });
    expect(done).toMatchObject({ status: 0, stdout: `${endpoint} a b  c\n` });
  });

  it('says that there is no such program, or that the cloud is down', () => {
    expect(shell({ command: ['no-such-program'] }).stderr).toContain('could not be started');
    const state = mkdtempSync(join(inject('cloudFolder'), 'down-'));
    expect(shell({ state, command: ['true'] })).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('The local cloud is not running.'),
    });
  });
});
