import { CreateTagsCommand, EC2Client } from '@aws-sdk/client-ec2';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Check } from '../../cli/doctor/check.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { outputOf } from '../support/outputs.ts';

let cloud: Cloud;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  cloud = await Cloud.connect();
  env = await shellEnvironment();
  folder = projectFolder(cloud.project);
});

/** What `doctor --json` says of each check. */
async function runChecks(...args: string[]): Promise<{ code: number | null; checks: Record<string, Check> }> {
  const { code, stdout } = await runctl(folder, ['doctor', '--json', ...args], env);
  const { ok, checks } = outputOf('doctor', stdout);
  expect(ok).toBe(code === 0);
  return { code, checks: Object.fromEntries(checks.map((check) => [check.name, check])) };
}

describe('runctl doctor', () => {
  it('finds all well, on the instance of the folder', async () => {
    const { code, stdout, stderr } = await runctl(folder, ['doctor'], env);
    expect(stdout).not.toMatch(/^[✗-]/m);
    expect(stdout).toContain(cloud.instanceId);
    expect(stdout).toMatch(/^✓ python3 +3\.\d+/m);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('fixes a missing tag by the command that it prints', async () => {
    const ec2 = cloud.client(EC2Client);
    const tag = (Value: string) =>
      ec2.send(new CreateTagsCommand({ Resources: [cloud.instanceId], Tags: [{ Key: 'runctl', Value }] }));
    await tag('no');
    try {
      const { code, checks } = await runChecks();
      expect(code).toBe(3);
      expect(checks.tag?.fix).toEqual([
        `aws ec2 create-tags --resources ${cloud.instanceId} --tags Key=runctl,Value=enabled`,
      ]);
      expect(checks.python3?.state).toBe('skipped');
    } finally {
      await tag('enabled');
      ec2.destroy();
    }
  });

  it('says that the agent is offline', async () => {
    await cloud.faults({ kind: 'offline', instance: cloud.instanceId });
    try {
      const { code, checks } = await runChecks('--instance', cloud.instanceId);
      expect(code).toBe(3);
      expect(checks.ssm?.detail).toContain('ConnectionLost');
    } finally {
      await cloud.faults();
    }
  });

  it('without credentials says how to get some, and asks nobody for anything else', async () => {
    const { AWS_ACCESS_KEY_ID: _, ...bare } = env;
    const { code, stdout } = await runctl(folder, ['doctor'], { ...bare, HOME: folder });
    expect(code).toBe(3);
    expect(stdout).toContain('✗ credentials  No AWS credentials were found.');
    expect(stdout).toContain('aws sso login');
    expect(stdout).toContain('- stack        requires credentials');
  });
});
