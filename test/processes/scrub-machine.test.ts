import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { PYTHON } from '../support/instance/compiled-program.ts';
import { RUNNER_FOLDER } from '../support/instance/test-instance.ts';

const SCRIPT = fileURLToPath(new URL('./scrub-machine.py', import.meta.url));
const found = JSON.parse(execFileSync(PYTHON, ['-I', '-B', SCRIPT, RUNNER_FOLDER], { encoding: 'utf8' })) as Record<
  string,
  unknown
>;

describe('the machine is scrubbed', () => {
  it.each([
    ['an instance', ['/', true]],
    ['a local cloud', [null, false]],
    ['a test that shuts nothing down', [null, false]],
    ['a machine of somebody', 'this machine is not an EC2 instance'],
    ['an instance without systemd', 'only root can scrub it, and only where systemd runs'],
    ['a folder that is the machine', 'RUNCTL_SYSTEM_ROOT is not a folder of its own'],
    ['a folder that is relative', 'RUNCTL_SYSTEM_ROOT is not a folder of its own'],
  ])('only where it is an instance of EC2 alone: %s', (name, expected) => {
    expect(found[name]).toEqual(expected);
  });

  const quiet = [
    'journalctl --relinquish-var',
    'systemctl stop rsyslog.service syslog.socket',
    'systemctl stop systemd-random-seed.service',
  ];
  const snap = 'snap.amazon-ssm-agent.amazon-ssm-agent.service';
  const agent = 'amazon-ssm-agent.service';
  const asked = (unit: string) => `systemctl --quiet is-active ${unit}`;

  it('with the registration of its agent last, and is powered off', () => {
    expect(found['the agent is a snap']).toEqual([
      'scrubbed',
      null,
      false,
      [...quiet, asked(agent), asked(snap), `systemctl stop ${snap}`, 'no-such-shutdown'],
    ]);
  });

  it('not when its agent cannot be stopped: it keeps its registration, and the agent is started again', () => {
    expect(found['the agent does not stop']).toEqual([
      'failed',
      expect.stringContaining('the SSM agent could not be stopped'),
      true,
      [...quiet, asked(agent), `systemctl stop ${agent}`, `systemctl start ${agent}`],
    ]);
    expect(found['the agent is not a unit']).toEqual([
      'failed',
      expect.stringContaining('the SSM agent could not be stopped'),
      true,
      [...quiet, asked(agent), asked(snap)],
    ]);
  });
});
