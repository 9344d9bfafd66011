import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Context } from '../../../cli/context.ts';
import { deployStack, parseContext } from '../../../cli/deploy/deploy.ts';
import { contextOf } from '../../../cli/deploy/synthesize.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'runctl-deploy-test-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('runctl deploy', () => {
  it('reads settings with and without their prefix, and values with = in them', () => {
    const pairs = ['silentMinutes=90', 'runctl:notifyEmails=["a@example.org"]', 'schedules=[{"name":"a=b"}]', 'x='];
    expect(parseContext(pairs)).toEqual({
      'runctl:silentMinutes': '90',
      'runctl:notifyEmails': '["a@example.org"]',
      'runctl:schedules': '[{"name":"a=b"}]',
      'runctl:x': '',
    });
  });

  it.each(['silentMinutes', '=90', ''])('refuses %j as a setting', (pair) => {
    expect(() => parseContext([pair])).toThrow(/is not key=value/);
  });

  it('takes the context of a cdk.json, and none where there is none', async () => {
    writeFileSync(join(folder, 'cdk.json'), '{"app": "x", "context": {"runctl:local": true}}');
    expect(await contextOf(join(folder, 'cdk.json'))).toEqual({ 'runctl:local': true });
    writeFileSync(join(folder, 'bare.json'), '{"app": "x"}');
    expect(await contextOf(join(folder, 'bare.json'))).toEqual({});
    expect(await contextOf(join(folder, 'absent.json'))).toEqual({});
    writeFileSync(join(folder, 'broken.json'), '{');
    await expect(contextOf(join(folder, 'broken.json'))).rejects.toMatchObject({ exitCode: 2 });
  });

  it('does not change permissions unasked where nobody can be asked', async () => {
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    // Nothing else of the context may be touched before.
    const context = { folder: empty, terminal: { isInteractive: false } } as unknown as Context;
    const deploy = deployStack(context, { settings: [], revertDrift: false, yes: false });
    await expect(deploy).rejects.toMatchObject({ exitCode: 2, next: expect.stringContaining('--yes') });
  });
});
