import { describe, expect, it } from 'vitest';
import { parseBakeInput } from '../../../../core/images/input.ts';
import { imageKey, isReadByInstall } from '../../../../core/images/key.ts';
import { bakeRunId, MAX_BAKE_NAME } from '../../../../core/images/names.ts';
import { prepareBake } from '../../../../core/images/prepare.ts';
import { executionNameAt, isRunId } from '../../../../core/names.ts';
import { resolveSpec } from '../../../../core/spec/spec.ts';
import { run } from '../../../support/fakes/samples.ts';
import { BASE, FakeImages, IMAGE, image } from './support.ts';

const archive = 's3://uploads-bucket/archives/demo/0123456789abcdef.tar.gz';
const given = { launchTemplate: 'lt-0123456789abcdef0', spec: { archive, project: 'demo' } };
const location = { bucket: 'uploads-bucket', key: 'archives/demo/0123456789abcdef.tar.gz', versionId: 'v1' };
const report = {
  ...{ sha256: '', bytes: 1, expandedBytes: 1, members: [], topFolder: null, git: null },
  files: [{ name: 'train.py', size: 1 }],
  captured: new Map<string, Uint8Array>(),
  digests: new Map([['requirements.txt', 'one']]),
};
const prepare = (images: FakeImages) =>
  prepareBake({ images }, { name: 'demo-1', input: parseBakeInput(given), location, report, program: run.program });

describe('a bake', () => {
  it('builds upon the image of the launch template, with the version of the archive that was read', async () => {
    const bake = await prepare(new FakeImages());
    expect(bake).toMatchObject({ base: BASE, template: { version: '3' }, project: 'demo', exists: false, image: null });
    expect(bake.run).toEqual({ project: 'demo', archive: `${archive}?versionId=v1` });
  });

  it('builds upon the same base when the launch template has an image that was made from it', async () => {
    const images = new FakeImages(image({ tags: { 'runctl:image-base': BASE } }));
    images.found = { id: 'lt-1', version: '4', image: IMAGE, tags: { runctl: 'enabled' } };
    const again = await prepare(images);
    expect(again.base).toBe(BASE);
    expect(again.key).toBe((await prepare(new FakeImages())).key);
  });

  it('makes nothing when there is a tested image of this key, and else it does', async () => {
    const { key } = await prepare(new FakeImages());
    const tags = { 'runctl:image': 'demo', 'runctl:image-key': key, 'runctl:image-published': 'yes' };
    expect(await prepare(new FakeImages(image({ tags })))).toMatchObject({ exists: true, image: IMAGE });
    const { 'runctl:image-published': _, ...untested } = tags;
    for (const other of [image({ tags: untested }), image({ tags, state: 'failed' })])
      expect((await prepare(new FakeImages(other))).exists).toBe(false);
  });

  it('needs a launch template with an image, and its tag', async () => {
    const images = new FakeImages();
    images.found = null;
    await expect(prepare(images)).rejects.toMatchObject({ name: 'LaunchTemplateNotFound' });
    images.found = { id: 'lt-1', version: '1', image: null, tags: { runctl: 'enabled' } };
    await expect(prepare(images)).rejects.toMatchObject({ name: 'LaunchTemplateNotFound' });
    images.found = { id: 'lt-1', version: '1', image: BASE, tags: {} };
    await expect(prepare(images)).rejects.toMatchObject({ name: 'LaunchTemplateNotEnabled' });
  });
});

it.each([
  [{ ...given, launchTemplate: 'lt-xyz;' }, 'launchTemplate'],
  [{ ...given, launchTemplateVersion: 'newest' }, 'launchTemplateVersion'],
  [{ ...given, spec: { project: 'demo' } }, 'archive is missing'],
  [{ ...given, spec: { ...given.spec, instance: 'i-0123456789abcdef0' } }, 'instance must be left out'],
  [{ ...given, spec: { ...given.spec, nonsense: 1 } }, 'nonsense'],
  [{ ...given, more: 1 }, 'more'],
  ['text', "the execution's input"],
])('the input %j is refused', (input, message) => {
  expect(() => parseBakeInput(input)).toThrow(message);
});

it('the command names a bake so that its name, and those of its runs, are accepted, however long the project is', () => {
  const name = executionNameAt(`${'p'.repeat(63)}-image`, new Date(), 'abcd');
  expect(name.length).toBeLessThanOrEqual(MAX_BAKE_NAME);
  const longest = 'p'.repeat(MAX_BAKE_NAME);
  expect([bakeRunId(longest, 'build'), bakeRunId(longest, 'test')].every(isRunId)).toBe(true);
  expect(isRunId(bakeRunId(`${longest}p`, 'build'))).toBe(false);
});

describe('the key of an image', () => {
  const key = (changes: Partial<Parameters<typeof imageKey>[0]> = {}) =>
    imageKey({
      project: 'demo',
      base: BASE,
      spec: resolveSpec({}),
      digests: new Map([
        ['a.txt', '1'],
        ['b.txt', '2'],
      ]),
      ...changes,
    });

  it('is equal for equal packages, in whatever order their files come', () => {
    expect(
      key({
        digests: new Map([
          ['b.txt', '2'],
          ['a.txt', '1'],
        ]),
      }),
    ).toBe(key());
  });

  it.each([
    ['project', { project: 'other' }],
    ['base', { base: IMAGE }],
    ['environment', { spec: resolveSpec({ environment: 'project' }) }],
    ['variables of pip', { spec: resolveSpec({ env: { PIP_INDEX_URL: 'x' } }) }],
    [
      'file',
      {
        digests: new Map([
          ['a.txt', '1'],
          ['b.txt', '3'],
        ]),
      },
    ],
    [
      'more files',
      {
        digests: new Map([
          ['a.txt', '1'],
          ['b.txt', '2'],
          ['c.txt', '1'],
        ]),
      },
    ],
  ])('is another one for another %s', (_, changes) => {
    expect(key(changes)).not.toBe(key());
  });

  it('depends on what an install reads, and not on code and data', () => {
    const read = ['requirements.txt', 'reqs/dev.in', 'pyproject.toml', 'lib/uv.lock', 'setup.py', 'environment.yml'];
    expect(read.filter((name) => !isReadByInstall(name))).toEqual([]);
    expect(['train.py', 'data/a.csv', 'model.pt', 'README.md'].filter(isReadByInstall)).toEqual([]);
  });
});
