import { describe, expect, it } from 'vitest';
import { DEFAULT_CAPS } from '../../../core/archive/caps.ts';
import { RunError } from '../../../core/errors.ts';
import type { ArchiveLocation } from '../../../core/names.ts';
import { createVerify } from '../../../lambdas/verify-archive.ts';
import { MemoryCheckpointStore } from '../../support/fakes/checkpoint-store.ts';
import { FakeArchives } from '../../support/fakes/ports.ts';
import { run } from '../../support/fakes/samples.ts';
import { chunked, END, file, tgz } from '../core/archive/build.ts';

const KEY = 's3://mine/uploads/vision/code.tar.gz';
const PYPROJECT = '[project]\nname = "a"\ndependencies = ["numpy"]\n';

function verify(
  files: Record<string, string>,
  input: unknown = { archive: KEY },
  metadata: string | null = null,
  name = run.id,
  modifiedAt: number | null = null,
  isDeleted = false,
) {
  const archives = new FakeArchives();
  const written: [string, string, Buffer, ArchiveLocation][] = [];
  const used: string[] = [];
  const upload = tgz(...Object.entries(files).map(([name, text]) => file(name, text)), END);
  archives.object = { versionId: 'v7', size: upload.length, modifiedAt, metadata, body: chunked(upload, 100) };
  if (isDeleted) archives.currentVersion = () => Promise.reject(new RunError('ArchiveNotFound', 'gone'));
  const { sha256, bucket, key } = run.program;
  const documentVersion = (asked: string) => Promise.resolve(asked === sha256 ? '3' : 'of another program');
  const step = createVerify({
    archives,
    caps: DEFAULT_CAPS,
    indexes: {
      put: async (...index) => void written.push(index),
      noteUse: async (_, key) => void used.push(key),
    },
    checkpoints: new MemoryCheckpointStore(),
    durationLimits: { maxDuration: '2h', maxWait: '36h' },
    program: { sha256, bucket, key },
    documentVersion,
    uploadBucket: 'mine',
  });
  const execution = { name, arn: run.arn, startedAt: run.startedAt };
  return { answer: step({ execution, input }), archives, written, used };
}

describe('Verify archive', () => {
  it('answers with run, spec and archive', async () => {
    const { answer, archives } = verify({ 'train.py': 'x = 1\n', 'requirements.txt': 'numpy\n' });
    const { run: begun, spec, archive, warnings } = await answer;
    expect(begun).toMatchObject({
      id: run.id,
      arn: run.arn,
      program: run.program,
      key: expect.stringMatching(/^demo-1-[0-9a-f]{16}$/),
    });
    expect(spec).toMatchObject({ project: 'vision', script: 'train.py', instance: 'tag:Project=vision' });
    expect(archive).toMatchObject({
      bucket: 'mine',
      key: 'uploads/vision/code.tar.gz',
      versionId: 'v7',
      files: 2,
      strip: null,
    });
    expect(archive.requirements).toBe('requirements.txt');
    expect(archive.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(warnings).toEqual([]);
    expect(archives.opened).toEqual([{ bucket: 'mine', key: 'uploads/vision/code.tar.gz', versionId: null }]);
  });

  it.each(['..', '.git', '-x', 'naïve'])('refuses an execution named %s before it reads anything', async (name) => {
    const { answer, archives } = verify({ 'train.py': '' }, { archive: KEY }, null, name);
    await expect(answer).rejects.toMatchObject({ name: 'InvalidSpec', message: expect.stringContaining(name) });
    expect(archives.opened).toEqual([]);
  });

  it("lowers a default to the stack's limit, and leaves what is below it", async () => {
    const { spec } = await verify({ 'train.py': '', 'runctl.yaml': 'stopGrace: 10m' }).answer;
    expect(spec).toMatchObject({ maxDuration: 7200, maxWait: 86_400, stopGrace: 600 });
  });

  it.each([
    [{ 'runctl.yaml': 'maxDuration: 2.1h' }, {}, null],
    [{}, { maxDuration: '3h' }, null],
    [{}, {}, '{"maxWait": "37h"}'],
  ])("refuses a duration above the stack's limit, wherever it is given: %j %j %j", async (files, input, metadata) => {
    const { answer } = verify({ 'train.py': '', ...files }, { archive: KEY, ...input }, metadata);
    await expect(answer).rejects.toMatchObject({
      name: 'InvalidSpec',
      message: expect.stringMatching(/^max(Duration|Wait) is .*allows (2h|36h) at most .*durationLimits/),
    });
  });

  it('opens the version that the input names', async () => {
    const { answer, archives } = verify({ 'train.py': '' }, { archive: `${KEY}?versionId=v3` });
    await answer;
    expect(archives.opened).toMatchObject([{ versionId: 'v3' }]);
  });

  it('merges: runctl.yaml, then the metadata, then the input', async () => {
    const files = {
      'a.py': '',
      'b.py': '',
      'runctl.yaml': 'script: a.py\nproject: from-file\nmaxDuration: 1h\nuser: me\ninclude: [../common]\n',
    };
    const metadata = '{"script":"b.py","project":"from-metadata"}';
    const { spec } = await verify(files, { archive: KEY, project: 'from-input' }, metadata).answer;
    expect(spec).toMatchObject({ script: 'b.py', project: 'from-input', maxDuration: 3600, user: 'me' });
    expect(spec.instance).toBe('tag:Project=from-input');
  });

  it('strips a single top folder', async () => {
    const { spec, archive } = await verify({
      'top/train.py': '',
      'top/deps/gpu.txt': '',
      'top/runctl.yaml': 'requirements: deps/gpu.txt',
    }).answer;
    expect(archive).toMatchObject({ strip: 'top', requirements: 'deps/gpu.txt' });
    expect(spec.script).toBe('train.py');
  });

  it.each([
    ['skip', { 'train.py': '', 'requirements.txt': '' }, { install: 'skip' }, null],
    ['none there', { 'train.py': '' }, {}, null],
    ['a lock', { 'train.py': '', 'uv.lock': '', 'pyproject.toml': '', 'requirements.txt': '' }, {}, 'uv.lock'],
    ['dependencies', { 't/train.py': '', 't/pyproject.toml': PYPROJECT }, {}, 'pyproject.toml'],
    ['no dependencies', { 'train.py': '', 'pyproject.toml': '[project]\nname = "a"\n' }, {}, null],
    [
      'an extra',
      { 'train.py': '', 'pyproject.toml': PYPROJECT },
      { requirements: 'pyproject.toml[x]' },
      'pyproject.toml[x]',
    ],
    ['named', { 'train.py': '', 'x.txt': '' }, { requirements: './x.txt' }, 'x.txt'],
  ])('chooses the requirements: %s', async (_, files, spec, requirements) => {
    expect((await verify(files as Record<string, string>, { archive: KEY, ...spec }).answer).archive.requirements).toBe(
      requirements,
    );
  });

  it('warns of names in env that look like secrets, without their values', async () => {
    const { warnings } = await verify({ 'train.py': '' }, { archive: KEY, env: { API_TOKEN: 'hunter2' } }).answer;
    expect(warnings).toEqual([expect.stringContaining('API_TOKEN')]);
    expect(warnings.join()).not.toContain('hunter2');
  });

  it.each([
    ['no archive', { script: 'train.py' }, 'InvalidSpec', /archive is missing/],
    ['no input', null, 'InvalidSpec', /archive is missing/],
    [
      'an unknown key',
      { archive: KEY, scrpit: 'x' },
      'InvalidSpec',
      /the execution's input: .*scrpit.*did you mean script/,
    ],
    ['another bucket', { archive: 's3://theirs/x.tar.gz' }, 'InvalidSpec', /own bucket, mine, and not from theirs/],
    ['a zip', { archive: 's3://mine/uploads/x.zip' }, 'ArchiveNotGzip', /tar\.gz/],
    ['include', { archive: KEY, include: ['../x'] }, 'InvalidSpec', /input: include has no effect on an archive/],
    ['a notebook', { archive: KEY, script: 'a.ipynb' }, 'InvalidSpec', /script is a notebook.*nbconvert --to script a/],
    ['a script that is not there', { archive: KEY, script: 'run.py' }, 'ScriptNotFound', /run\.py.*train\.py/],
    ['requirements that are not there', { archive: KEY, requirements: 'r.txt' }, 'InvalidSpec', /there is no r\.txt/],
  ])('refuses %s', async (_, input, name, message) => {
    const { answer } = verify({ 'train.py': '' }, input);
    await expect(answer).rejects.toMatchObject({ name, message: expect.stringMatching(message) });
  });

  it.each([
    ['a bad runctl.yaml', { 'runctl.yaml': 'install: maybe', 'train.py': '' }, null, 'InvalidSpec'],
    ['runctl.yml', { 'runctl.yml': 'script: a.py', 'train.py': '' }, null, 'InvalidSpec'],
    ['include in metadata', { 'train.py': '' }, '{"include":["../x"]}', 'InvalidSpec'],
    ['bad metadata', { 'train.py': '' }, '{', 'InvalidSpec'],
    ['no script at all', { 'readme.md': '' }, null, 'ScriptNotFound'],
    ['two scripts', { 'train.py': '', 'main.py': '' }, null, 'ScriptNotFound'],
    ['a traversal', { '../x.py': '', 'train.py': '' }, null, 'ArchiveUnsafeName'],
  ])('refuses %s', async (_, files, metadata, name) => {
    await expect(verify(files as Record<string, string>, { archive: KEY }, metadata).answer).rejects.toMatchObject({
      name,
    });
  });

  it('refuses args and env of two sources that do not fit together, before anything is started', async () => {
    const input = { archive: KEY, args: ['x'.repeat(7_000)] };
    const files = { 'train.py': '', 'runctl.yaml': `env: {A: ${'y'.repeat(7_000)}}` };
    await expect(verify(files, input).answer).rejects.toMatchObject({ name: 'InvalidSpec' });
  });
});

describe('Verify archive with a SHA-256 in the input', () => {
  const files = { 'train.py': 'x = 1\n' };

  it('takes the archive that has it', async () => {
    const { archive } = await verify(files).answer;
    const { answer } = verify(files, { archive: KEY, sha256: archive.sha256 });
    expect((await answer).archive.sha256).toBe(archive.sha256);
  });

  it('refuses any other bytes, whatever the object’s metadata says', async () => {
    const wanted = (await verify(files).answer).archive.sha256;
    const { answer } = verify({ 'train.py': 'x = 2\n' }, { archive: KEY, sha256: wanted });
    await expect(answer).rejects.toMatchObject({ name: 'ArchiveChanged', message: expect.stringContaining(wanted) });
  });

  it('compares also with that of the upload’s metadata', async () => {
    const other = `{"sha256": "${'0'.repeat(64)}"}`;
    const { sha256 } = (await verify(files).answer).archive;
    await expect(verify(files, { archive: KEY, sha256 }, other).answer).rejects.toMatchObject({
      name: 'ArchiveChanged',
    });
    await verify(files, { archive: KEY }, `{"sha256": "${sha256}"}`).answer;
  });

  it.each(['sha256: "', 'sent: {bytes: 1} # '])('takes none from runctl.yaml: %s', async (key) => {
    const { answer } = verify({ ...files, 'runctl.yaml': `${key}${'0'.repeat(64)}"` }, { archive: KEY });
    await expect(answer).rejects.toThrow(/runctl\.yaml: (sha256|sent) is valid in the execution's input only/);
  });

  it.each(['runs/a/outputs.tar.gz', 'pieces/x.tar.gz', 'code.tar.gz'])(
    'reads nothing outside the prefixes: %s',
    async (key) => {
      await expect(verify(files, { archive: `s3://mine/${key}` }).answer).rejects.toThrow(
        /below uploads\/ and archives\//,
      );
    },
  );
});

describe('what the command says that it sent', () => {
  const files = { 'train.py': 'x = 1\n', 'b.py': '' };
  const sentOf = async (sent: object, metadata: string | null = null) =>
    (await verify(files, { archive: KEY, ...sent }, metadata).answer).archive.sent;

  it('is recorded, from the input or the metadata of an upload', async () => {
    expect(await sentOf({})).toBeNull();
    expect(await sentOf({ sent: { bytes: 12, changedFiles: 2 } })).toEqual({ bytes: 12, changedFiles: 2 });
    expect(await sentOf({ sent: { bytes: 0 } })).toEqual({ bytes: 0, changedFiles: null });
    expect(await sentOf({}, '{"sent": {"bytes": 7, "changedFiles": 1}}')).toEqual({ bytes: 7, changedFiles: 1 });
  });

  it.each([{ bytes: 1_000_000 }, { bytes: 5, changedFiles: 3 }])(
    'is not believed when it cannot be: %j',
    async (sent) => {
      expect(await sentOf({ sent })).toBeNull();
    },
  );

  it.each([-1, 1.5, 'x', null])('is refused when it is not a count: %j', async (bytes) => {
    await expect(sentOf({ sent: { bytes } })).rejects.toMatchObject({ name: 'InvalidSpec' });
  });
});

describe('an archive that runctl stored', () => {
  const files = { 'train.py': 'x = 1\n' };
  const stored = { archive: 's3://mine/archives/vision/0123.tar.gz' };
  const daysAgo = (days: number) => Date.now() - days * 86_400_000;

  it('is noted as used; an upload, which does not expire, is not', async () => {
    const run = verify(files, stored);
    await run.answer;
    expect(run.used).toEqual(['archives/vision/0123.tar.gz']);
    const upload = verify(files);
    await upload.answer;
    expect(upload.used).toEqual([]);
  });

  it.each([
    [91, true, false],
    [91, false, true],
    [89, true, true],
  ])('%i days ago and is gone (%s) is accepted: %s', async (days, isGone, isAccepted) => {
    const pinned = { archive: `${stored.archive}?versionId=v7` };
    const { answer } = verify(files, pinned, null, run.id, daysAgo(days), isGone);
    expect(
      await answer.then(
        () => true,
        (error: Error) => (error.name === 'ArchiveNotFound' ? false : Promise.reject(error)),
      ),
    ).toBe(isAccepted);
  });
});
