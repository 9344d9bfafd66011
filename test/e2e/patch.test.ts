import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, it } from 'vitest';
import { COMPRESSOR, compressMember } from '../../core/archive/compress.ts';
import { encodePatch } from '../../core/archive/patch.ts';
import { parseArchiveUri, patchKey } from '../../core/names.ts';
import { Cloud, type EndedRun } from '../support/cloud/cloud.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { outputOf } from '../support/outputs.ts';

let cloud: Cloud;
let folder: string;
let env: Record<string, string>;
beforeAll(async () => {
  cloud = await Cloud.connect();
  env = await shellEnvironment();
  folder = projectFolder(cloud.project);
  mkdirSync(join(folder, 'lib'));
  const files = {
    'train.py':
      'import lib.part, hashlib\nprint("value", lib.part.VALUE)\nprint("large", hashlib.sha256(open("large.bin", "rb").read()).hexdigest())\n',
    'lib/part.py': 'VALUE = 1\n',
    'lib/other.py': `TEXT = """${'a line of code that stays as it is\n'.repeat(4_000)}"""\n`,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  // Larger than the parts that S3 copies.
  writeFileSync(join(folder, 'large.bin'), randomBytes(13 * 1024 * 1024));
});

interface Started {
  readonly run: EndedRun;
  readonly input: { readonly archive: string; readonly patch?: string };
  /** What was sent, as the command says it. */
  readonly sent: string;
}

async function train(...options: string[]): Promise<Started> {
  const { code, stdout, stderr } = await runctl(
    folder,
    ['run', '--yes', '--json', '--instance', cloud.instanceId, ...options],
    env,
  );
  expect(code, stderr).toBe(0);
  const { arn } = JSON.parse(stdout) as { arn: string };
  const run = await cloud.finished(arn);
  expect(run.status).toBe('SUCCEEDED');
  const input = (await cloud.inputOf(arn)) as Started['input'];
  return { run, input, sent: /.* sent$/m.exec(stderr)?.[0].trim() ?? '' };
}

/** What the run printed that trained the folder as it is. */
function expected(): string {
  const digest = createHash('sha256')
    .update(readFileSync(join(folder, 'large.bin')))
    .digest('hex');
  return `value ${/\d+/.exec(readFileSync(join(folder, 'lib/part.py'), 'utf8'))?.[0]}\nlarge ${digest}`;
}

describe('a folder that is trained again', () => {
  it('is sent as what has changed, and trains what the folder has', async () => {
    const first = await train();
    expect(first.run.states).not.toContain('Assemble archive');
    expect(first.input.patch).toBeUndefined();
    expect(await cloud.log(first.run.id, 'train')).toContain(expected());

    writeFileSync(join(folder, 'lib/part.py'), 'VALUE = 22\n');
    const edited = await train();
    expect(edited.run.states).toContain('Assemble archive');
    expect(edited.sent).toMatch(/^1 of 5 files changed, [\d.]+ (B|KiB) of 13\.\d MiB sent$/);
    expect(await cloud.log(edited.run.id, 'train')).toContain(expected());
    // The instance fetches what it lacks, too.
    expect(await cloud.log(edited.run.id, 'sync')).toMatch(/^Fetching .* in 1 range; the rest is in the archive/m);
    const { fetched } = (await cloud.manifest(edited.run.arn))?.jobs.sync?.result ?? {};
    expect(fetched).toBeLessThan(200_000);
    const { patchBytes, sent } = (await cloud.manifest(edited.run.arn))?.archive ?? {};
    expect(patchBytes).toBeLessThan(10_000);
    expect(sent).toEqual({ bytes: patchBytes, changedFiles: 1 });

    // The same again needs no patch, since the archive that was made is known.
    const same = await train();
    expect(same.run.states).not.toContain('Assemble archive');
    expect(same.sent).toMatch(/^0 of 5 files changed, 0 B of/);
    expect(same.input.archive.split('?')[0]).toBe(edited.input.archive);

    // A change in the middle of the large file, based on the archive that was made of a patch.
    const large = readFileSync(join(folder, 'large.bin'));
    large.writeUInt8(large.readUInt8(6_000_000) ^ 1, 6_000_000);
    writeFileSync(join(folder, 'large.bin'), large);
    renameSync(join(folder, 'lib/other.py'), join(folder, 'lib/renamed.py'));
    const again = await train();
    expect(again.run.states).toContain('Assemble archive');
    expect(again.sent).toMatch(/^2 of 5 files changed, [\d.]+ (B|KiB) of/);
    expect(await cloud.log(again.run.id, 'train')).toContain(expected());
    const manifest = await cloud.manifest(again.run.arn);
    expect(manifest).toMatchObject({ outcome: 'succeeded' });

    // Without the cache of this folder, as on another machine: by the index that Verify archive wrote.
    rmSync(join(folder, '.runctl/archive'), { recursive: true });
    writeFileSync(join(folder, 'lib/part.py'), 'VALUE = 333\n');
    const elsewhere = await train();
    expect(elsewhere.run.states).toContain('Assemble archive');
    expect(await cloud.log(elsewhere.run.id, 'train')).toContain(expected());

    writeFileSync(join(folder, 'lib/part.py'), 'VALUE = 4444\n');
    const full = await train('--full');
    expect(full.run.states).not.toContain('Assemble archive');
    expect(full.sent).toMatch(/^1 of 5 files changed, 13\.\d MiB of 13\.\d MiB sent$/);
    expect(await cloud.log(full.run.id, 'train')).toContain(expected());

    // A push is assembled at once, also of one that no run has verified; a run takes it as it is.
    for (const value of [55_555, 666_666]) {
      writeFileSync(join(folder, 'lib/part.py'), `VALUE = ${value}\n`);
      const { stdout, stderr } = await runctl(folder, ['push', '--json'], env);
      expect(stderr).toMatch(/^1 of 5 files changed, [\d.]+ B of 13\.\d MiB sent$/m);
      const pushed = outputOf('push', stdout);
      expect(pushed).toMatchObject({ changedFiles: 1, reused: false });
      const object = (await cloud.object(parseArchiveUri(pushed.archive)?.key ?? '')) ?? Buffer.alloc(0);
      expect(createHash('sha256').update(object).digest('hex')).toBe(pushed.sha256);
    }
    const pushed = await train();
    expect(pushed.sent).toMatch(/^0 of 5 files changed, 0 B of/);
    expect(pushed.run.states).not.toContain('Assemble archive');
    expect(await cloud.log(pushed.run.id, 'train')).toContain(expected());

    // An upload that starts a run by itself is made of an archive, too.
    writeFileSync(join(folder, 'lib/part.py'), 'VALUE = 7777777\nprint("uploaded")\n');
    const { stdout, stderr } = await runctl(folder, ['push', '--start', '--json'], env);
    expect(stderr).toMatch(/^1 of 5 files changed, [\d.]+ B of 13\.\d MiB sent$/m);
    const started = outputOf('push', stdout);
    expect(parseArchiveUri(started.archive)?.key).toMatch(/^uploads\//);
    const uploaded = await cloud.finished(await cloud.runAppears(parseArchiveUri(started.archive)?.key ?? ''));
    expect(uploaded.id).toBe(started.runId);
    expect(await cloud.log(uploaded.id, 'train')).toContain('uploaded');
    expect((await cloud.manifest(uploaded.arn))?.archive).toMatchObject({
      sha256: started.sha256,
      patchBytes: null,
      sent: { bytes: started.sentBytes, changedFiles: 1 },
    });

    // What was assembled is an archive like any other: GNU tar reads it.
    const { key = '' } = parseArchiveUri(elsewhere.input.archive) ?? {};
    const target = join(folder, '.runctl', 'read');
    mkdirSync(target, { recursive: true });
    execFileSync('tar', ['xzf', '-', '-C', target], { input: (await cloud.object(key)) ?? Buffer.alloc(0) });
    expect(readFileSync(join(target, 'lib/part.py'), 'utf8')).toBe('VALUE = 333\n');
  });
});

describe('a patch that somebody else wrote', () => {
  const base = Buffer.concat(['a', 'b'].map((text) => compressMember(Buffer.from(text))));
  const sha256 = 'e'.repeat(64);

  async function run(project: string, key: string, header: object): Promise<EndedRun> {
    const s3 = cloud.client(S3Client);
    const put = async (Key: string, Body: Buffer) =>
      (await s3.send(new PutObjectCommand({ Bucket: cloud.bucket, Key, Body }))).VersionId ?? null;
    const versionId = await put(key, base);
    const patch = encodePatch({
      header: {
        compressor: COMPRESSOR,
        base: { key, versionId, bytes: base.length },
        sha256,
        bytes: base.length,
        sources: [],
        parts: [['keep', 0, base.length]],
        ...header,
      },
      literals: Buffer.alloc(0),
      members: Buffer.alloc(0),
    });
    await put(patchKey(project, sha256), patch);
    return await cloud.finished(
      await cloud.start({
        archive: `s3://${cloud.bucket}/archives/${project}/${randomBytes(4).toString('hex')}.tar.gz`,
        patch: `s3://${cloud.bucket}/${patchKey(project, sha256)}`,
        sha256,
        project,
        instance: cloud.instanceId,
      }),
    );
  }

  it.each([
    [
      'of an archive of another project',
      { base: { key: 'archives/other/a.tar.gz', versionId: 'v', bytes: 9 }, parts: [] },
      'PatchUnusable',
      /not a version of an archive/,
    ],
    [
      'of results of a run',
      { base: { key: 'runs/x/manifest.json', versionId: 'v', bytes: 9 }, parts: [] },
      'PatchUnusable',
      /not a version of an archive/,
    ],
    [
      'beyond its base',
      { base: { key: 'archives/patched/base.tar.gz', versionId: 'v', bytes: 3 } },
      'PatchUnusable',
      /outside the base/,
    ],
    [
      'of a base that does not exist',
      { base: { key: 'archives/patched/no.tar.gz', versionId: 'nope', bytes: 60 } },
      'PatchUnusable',
      /does not exist|cannot be used|needs/,
    ],
    ['of another digest', { sha256: 'd'.repeat(64) }, 'PatchUnusable', /was started for/],
    ['that makes other bytes than it says', {}, 'ArchiveChanged|ArchiveNotTar', /SHA-256|not a tar/],
  ])('%s starts nothing', async (_, header, error, message) => {
    const ended = await run('patched', 'archives/patched/base.tar.gz', header);
    expect(ended.error).toMatch(new RegExp(`^(${error})$`));
    expect(ended.cause?.message).toMatch(message);
    expect(ended.states).not.toContain('Find instance');
  });
});
