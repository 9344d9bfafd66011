import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ArchiveReport } from '../../../core/archive/verify.ts';
import { deriveProject, projectFiles, readSpecFile, readSpecMetadata } from '../../../core/spec/archive-spec.ts';
import { InvalidSpec } from '../../../core/spec/spec.ts';
import { SHA256 } from '../../support/fakes/samples.ts';

function report(captured: Record<string, string>, changes: Partial<ArchiveReport> = {}): ArchiveReport {
  return {
    sha256: SHA256,
    bytes: 1,
    expandedBytes: 1,
    files: [],
    topFolder: null,
    captured: new Map(Object.entries(captured).map(([name, text]) => [name, Buffer.from(text)])),
    git: null,
    ...changes,
  } as ArchiveReport;
}

const upload = (key: string) => ({ bucket: 'b', key, versionId: null });

describe('readSpecFile', () => {
  const read = (yaml: string) => readSpecFile(report({ 'runctl.yaml': yaml }));

  it('reads what is there, and nothing where there is none', () => {
    expect(read('script: train.py\nargs: ["--lr", "0.1"]\nenv:\n  A: "1"\n')).toEqual({
      script: 'train.py',
      args: ['--lr', '0.1'],
      env: { A: '1' },
    });
    expect([read(''), read('# nothing\n'), read('\ufeffscript: x.py')]).toEqual([{}, {}, { script: 'x.py' }]);
    expect(readSpecFile(report({}))).toEqual({});
  });

  it.each([
    ['a tab', 'script:\n\t- x'],
    ['a key twice', 'script: a.py\nscript: b.py'],
    ['two documents', 'script: a.py\n---\nscript: b.py'],
    ['no map', '- script'],
    ['an unknown key', 'scrpit: a.py'],
    ['an archive', 'archive: s3://b/k'],
    ['a number', 'env: {EPOCHS: 3}'],
    [
      'an alias bomb',
      `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nargs: [*c,*c,*c]`,
    ],
  ])('refuses %s, and says that it is runctl.yaml', (_, yaml) => {
    expect(() => read(yaml)).toThrow(InvalidSpec);
    expect(() => read(yaml)).toThrow(/^runctl\.yaml/);
  });

  it('refuses what is named otherwise, at the top of the project only', () => {
    const files = (...names: string[]) => names.map((name) => ({ name, size: 0 }));
    const top = { topFolder: 'nets', files: files('nets/Runctl.yaml', 'nets/train.py') };
    expect(() => readSpecFile(report({}, top))).toThrow('"Runctl.yaml" is not read: the run spec is named runctl.yaml');
    const both = { files: files('runctl.yml', 'runctl.yaml') };
    expect(() => readSpecFile(report({ 'runctl.yaml': '' }, both))).toThrow(InvalidSpec);
    expect(readSpecFile(report({}, { files: files('sub/runctl.yml', 'runctl.py', 'runctl.schema.json') }))).toEqual({});
  });

  it('reads or refuses any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (yaml) => {
        try {
          read(yaml);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidSpec);
        }
      }),
    );
  });
});

describe('readSpecMetadata', () => {
  it('reads JSON, and nothing where there is none', () => {
    expect(readSpecMetadata('{"script":"a.py"}')).toEqual({ script: 'a.py' });
    expect(readSpecMetadata(null)).toEqual({});
  });

  it.each([['not json'], ['[]'], ['{"archive":"s3://b/k"}'], ['{"x":1}'], ['']])('refuses %s', (text) => {
    expect(() => readSpecMetadata(text)).toThrow(/^the upload's metadata x-amz-meta-runctl/);
  });
});

describe('deriveProject', () => {
  const pyproject = { 'pyproject.toml': '[project]\nname = "From.Toml"\n' };

  it('takes the folder of the upload, then pyproject.toml, then the top folder, then runctl', () => {
    const whole = report(pyproject, { topFolder: 'Top' });
    expect(deriveProject(upload('uploads/Vision/code.tar.gz'), whole)).toBe('vision');
    expect(deriveProject(upload('uploads/code.tar.gz'), whole)).toBe('from.toml');
    expect(deriveProject(upload('uploads/訓練/code.tar.gz'), whole)).toBe('from.toml');
    expect(deriveProject(upload('elsewhere/code.tar.gz'), report({}, { topFolder: 'Top Folder' }))).toBe('top-folder');
    expect(deriveProject(upload('uploads/code.tar.gz'), report({}))).toBe('runctl');
  });

  it.each([
    ['no TOML at all', '[[['],
    ['no project', '[tool.ruff]'],
    ['a name that is no text', '[project]\nname = 3'],
    ['a project that is no table', 'project = "x"'],
    ['a name of nothing usable', '[project]\nname = "…"'],
  ])('passes over a pyproject.toml with %s', (_, toml) => {
    expect(deriveProject(upload('uploads/a.tar.gz'), report({ 'pyproject.toml': toml }))).toBe('runctl');
  });
});

describe('projectFiles', () => {
  const files = [{ name: 'top/train.py' }, { name: 'top/a/b.py' }] as unknown as ArchiveReport['files'];

  it('takes the single top folder off', () => {
    expect(projectFiles(report({}, { files, topFolder: 'top' }))).toEqual(['train.py', 'a/b.py']);
    expect(projectFiles(report({}, { files }))).toEqual(['top/train.py', 'top/a/b.py']);
  });
});
