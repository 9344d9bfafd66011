import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  archiveUri,
  executionNameForUpload,
  isRunId,
  isUpload,
  parseArchiveUri,
  projectFolder,
  runFileKey,
  runFolder,
  runKey,
  toProjectName,
} from '../../../core/names.ts';

/** Keys as people make them: spaces, quotes, unicode, `+`, control characters, endless. */
const part = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom('my code', `it's "x"`, 'naïve', '訓練', 'a+b', '…'),
);
const key = part.map((name) => `uploads/${name}.tar.gz`);
const upload = fc.record({ bucket: fc.constant('b'), key, version: fc.string({ maxLength: 40 }) });
/** Step Functions: no whitespace, brackets, wildcards or the like; we use fewer still. */
const EXECUTION_NAME = /^[A-Za-z0-9_-]{1,80}$/;

describe('executionNameForUpload', () => {
  it('is a name that Step Functions takes, the same each time', () => {
    fc.assert(
      fc.property(upload, (one) => {
        expect(executionNameForUpload(one)).toMatch(EXECUTION_NAME);
        expect(executionNameForUpload({ ...one })).toBe(executionNameForUpload(one));
      }),
    );
  });

  it('differs as soon as bucket, key or version does', () => {
    fc.assert(
      fc.property(upload, upload, (one, other) => {
        const same = one.key === other.key && one.version === other.version;
        expect(executionNameForUpload(one) === executionNameForUpload(other)).toBe(same);
      }),
    );
    const name = (bucket: string, path: string, version: string) =>
      executionNameForUpload({ bucket, key: path, version });
    expect(name('a', 'uploads/x.tar.gz', 'v')).not.toBe(name('b', 'uploads/x.tar.gz', 'v'));
    expect(name('a', 'uploads/x.tar.gz', 'v')).not.toBe(name('a', 'uploads/x.tar.gz', 'w'));
    // The parts cannot flow into each other.
    expect(name('a', 'uploads/訓', '練')).not.toBe(name('a', 'uploads/訓練', ''));
    // What the readable part drops, the hash keeps.
    expect(name('a', 'uploads/a b.tar.gz', '')).not.toBe(name('a', 'uploads/a+b.tar.gz', ''));
  });

  it('can be read', () => {
    const name = executionNameForUpload({ bucket: 'b', key: 'uploads/vision/naïve model v1.2.tar.gz', version: 'v' });
    expect(name).toMatch(/^vision-nai-ve-model-v1-2-[0-9a-f]{16}$/);
    expect(executionNameForUpload({ bucket: 'b', key: 'uploads/訓練.tar.gz', version: 'v' })).toMatch(
      /^run-[0-9a-f]{16}$/,
    );
    expect(executionNameForUpload({ bucket: 'b', key: 'uploads/.tar.gz', version: 'v' })).toMatch(/^run-[0-9a-f]{16}$/);
  });
});

describe('the id of a run', () => {
  it('is what runctl gives to executions, and nothing that a path understands differently', () => {
    fc.assert(
      fc.property(upload, (one) => {
        expect(isRunId(executionNameForUpload(one))).toBe(true);
      }),
    );
    for (const id of ['digits-20261124-171530-3f9a', 'a', 'A.b_c-1', 'x'.repeat(80)]) expect(isRunId(id)).toBe(true);
    for (const id of ['..', '.', '', '.git', '-rf', '_x', 'a/b', 'a\\b', 'a b', 'é', 'a\n', 'x'.repeat(81)])
      expect(isRunId(id)).toBe(false);
  });

  it('names the folder of the run; a name that no run may have gives another one', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[./\\]{0,5}\w{0,3}$/)), (id) => {
        expect(isRunId(runFolder(id))).toBe(true);
        expect(runFolder(id) === id).toBe(isRunId(id));
      }),
    );
    expect(runFileKey('..', 'manifest.json')).toMatch(/^runs\/run-[0-9a-f]{16}\/manifest.json$/);
  });
});

describe('runKey', () => {
  const anyRun = fc.record({
    id: fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[\w.-]{1,80}$/)),
    arn: fc.string(),
    startedAt: fc.string(),
  });

  it('is a folder name that the runner takes, 64 characters at most, whatever the execution is called', () => {
    fc.assert(
      fc.property(anyRun, (run) => {
        expect(runKey(run)).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
      }),
    );
  });

  it('has 64 characters for the longest name that Step Functions allows', () => {
    expect(runKey({ id: 'x'.repeat(80), arn: 'a', startedAt: 'b' })).toMatch(/^x{47}-[0-9a-f]{16}$/);
  });

  it('leaves room for the names of nested watches', () => {
    fc.assert(
      fc.property(anyRun, fc.nat({ max: 99_999 }), (run, watches) => {
        expect(`${runKey(run)}-${watches}`.length).toBeLessThanOrEqual(80);
      }),
    );
  });

  it('distinguishes a name that was reused after 90 days from the first one', () => {
    const run = { id: 'nightly', arn: 'arn:run:nightly', startedAt: '2026-01-01T00:00:00Z' };
    expect(runKey({ ...run, startedAt: '2026-06-01T00:00:00Z' })).not.toBe(runKey(run));
    expect(runKey({ ...run, arn: 'arn:other:nightly' })).not.toBe(runKey(run));
    expect(runKey(run)).toBe(runKey({ ...run }));
  });
});

describe('uploads', () => {
  it.each([
    ['uploads/a.tar.gz', true],
    ['uploads/a b/ü+".tar.gz', true],
    ['uploads/a.zip', true],
    ['uploads/vision/', false],
    ['other/a.tar.gz', false],
    ['x/uploads/a.tar.gz', false],
    ['Uploads/a.tar.gz', false],
    ['uploads', false],
  ])('%s: is an upload %s', (path, is) => expect(isUpload(path)).toBe(is));

  it.each([
    ['uploads/vision/code.tar.gz', 'vision'],
    ['uploads/vision/deep/code.tar.gz', 'vision'],
    ['uploads/code.tar.gz', null],
    ['archives/vision/code.tar.gz', null],
  ])('%s: project folder %s', (path, folder) => expect(projectFolder(path)).toBe(folder));
});

describe('toProjectName', () => {
  it('is null or what the run spec takes as a project', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const name = toProjectName(text);
        if (name !== null) expect(name).toMatch(/^[a-z0-9][a-z0-9._-]{0,62}$/);
      }),
    );
  });

  it.each([
    ['Vision', 'vision'],
    ['My Project', 'my-project'],
    ['__init__', 'init__'],
    ['Über', 'uber'],
    ['réseau_Éléphant', 'reseau_elephant'],
    ['u\u0308ber', 'uber'],
    ['ﬁne', 'fine'],
    ['..', null],
    ['訓練', null],
    ['', null],
  ])('%s → %s', (text, name) => expect(toProjectName(text)).toBe(name));
});

describe('archive locations', () => {
  it('are read back as they were written, odd keys included, when the version is known', () => {
    const bucket = fc.stringMatching(/^[a-z0-9.-]{3,20}$/);
    const version = fc.stringMatching(/^[A-Za-z0-9._-]{1,32}$/);
    fc.assert(
      fc.property(bucket, key, version, (name, path, versionId) => {
        const location = { bucket: name, key: path, versionId };
        expect(parseArchiveUri(archiveUri(location))).toEqual(location);
      }),
    );
  });

  it.each([
    ['s3://b/k.tar.gz', { bucket: 'b', key: 'k.tar.gz', versionId: null }],
    ['s3://b/a?b/k.tar.gz', { bucket: 'b', key: 'a?b/k.tar.gz', versionId: null }],
    ['s3://b/k?versionId=x?versionId=v2', { bucket: 'b', key: 'k?versionId=x', versionId: 'v2' }],
    ['s3://b/', null],
    ['s3:///k', null],
    ['https://b/k', null],
    ['', null],
  ])('%s', (uri, location) => expect(parseArchiveUri(uri)).toEqual(location));
});
