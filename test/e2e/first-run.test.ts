import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { projectRoot } from '../../local/cloud/paths.ts';
import { ensureVenv } from '../../local/tools/python-tools.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { COMMAND, shellEnvironment } from '../support/cloud/runctl.ts';

const DOCUMENT = readFileSync(join(projectRoot, 'docs', 'guide', 'first-run.md'), 'utf8');
const requirements = join(projectRoot, 'local', 'tools', 'requirements-aws.txt');

/** The fenced blocks of the document with this mark behind `sh`, in order. */
function blocks(mark: string): string[] {
  return [...DOCUMENT.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].flatMap(([, info, text = '']) =>
    info === mark ? [text] : [],
  );
}

let cloud: Cloud;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  cloud = await Cloud.connect();
  folder = mkdtempSync(join(inject('cloudFolder'), 'first-run-'));
  const aws = await ensureVenv('aws', requirements, console.log);
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'runctl'), `#!/bin/sh\nexec node '${COMMAND}' "$@"\n`, { mode: 0o755 });
  symlinkSync(join(aws, 'bin', 'aws'), join(bin, 'aws'));
  const shell = await shellEnvironment();
  env = { ...shell, HOME: folder, PATH: `${bin}:${shell.PATH}`, RUNCTL: projectRoot, INSTANCE: cloud.instanceId };
});

/** Types the blocks into one shell, which ends at the first command that fails. @returns what it shows */
async function type(commands: readonly string[], more: Record<string, string> = {}): Promise<string> {
  const script = join(folder, 'typed.sh');
  writeFileSync(script, `set -euo pipefail\n${commands.join('\n')}`);
  const options = { cwd: folder, env: { ...env, ...more }, maxBuffer: 2 ** 24 };
  // A failure's message has the command's standard error.
  const { stdout } = await promisify(execFile)('bash', [script], options);
  return stdout;
}

describe('docs/guide/first-run.md', () => {
  it('marks each block of commands as one that is run, or says why not', () => {
    const known = ['sh', 'sh aws-only', 'sh bucket-to-delete'].flatMap(blocks);
    expect(known).toHaveLength([...DOCUMENT.matchAll(/^```\S/gm)].length);
    expect(blocks('sh').length).toBeGreaterThan(8);
  });

  it('leads to a trained model: its commands, one after the other', async () => {
    const shown = await type(blocks('sh'));
    expect(shown).toContain('✓ gpu');
    expect(shown).toMatch(/epoch 3\/3 loss=/);
    expect(shown).toMatch(/"accuracy": 0\.\d+/);
    expect(shown).toMatch(/runctl-first-run-nightly +first-run +cron\(0 2 /);
  });

  it('empties and deletes a bucket with versions', async () => {
    const s3 = cloud.client(S3Client);
    const Bucket = 'first-run-to-delete';
    await s3.send(new CreateBucketCommand({ Bucket }));
    await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
    for (const Key of ['a', 'a', 'b c']) await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a' }));
    expect(await type(blocks('sh bucket-to-delete'), { BUCKET: Bucket })).toContain(`remove_bucket: ${Bucket}`);
    s3.destroy();
  });
});
