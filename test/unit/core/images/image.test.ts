import { describe, expect, it } from 'vitest';
import { cleanUpBake } from '../../../../core/images/clean-up.ts';
import { createImage } from '../../../../core/images/create.ts';
import type { Bake, Waiting } from '../../../../core/images/data.ts';
import { publishImage, toRemove } from '../../../../core/images/publish.ts';
import { BUILDER, bake, FakeImages, IMAGE, image, STARTED } from './support.ts';

const built: Bake = { ...bake, builder: BUILDER, scrubbing: true };
const made: Bake = { ...built, image: IMAGE };
const tested: Bake = { ...made, tester: 'i-0fedcba9876543210' };
const waiting: Waiting = { since: STARTED / 1_000, wait: 10, message: '' };
const at = (seconds: number) => () => STARTED + seconds * 1_000;
const day = 86_400_000;

describe('the image', () => {
  it('is made of the builder, which is terminated when the image can be used, and not before', async () => {
    const images = new FakeImages();
    const first = await createImage({ images, now: at(0) }, { bake: built, waiting: null });
    expect(first).toMatchObject({ bake: { image: IMAGE }, waiting: { wait: 10 } });
    expect(images.images[0]?.tags).toMatchObject({ 'runctl:image': 'demo', 'runctl:image-key': bake.key });
    expect(await createImage({ images, now: at(60) }, { bake: made, waiting })).toMatchObject({
      waiting: { wait: 10 },
    });
    expect(images.terminated).toEqual([]);
    images.images = [image()];
    expect(await createImage({ images, now: at(90) }, { bake: made, waiting })).toEqual({ bake: made, waiting: null });
    expect(images.terminated).toEqual([BUILDER]);
  });

  it('that EC2 could not make ends the bake, with its reason; one that EC2 does not show yet is waited for', async () => {
    const images = new FakeImages(
      image({ state: 'failed', reason: 'the volume is encrypted with a key that is gone' }),
    );
    const failed = createImage({ images, now: at(0) }, { bake: made, waiting });
    await expect(failed).rejects.toMatchObject({ name: 'ImageFailed', message: expect.stringContaining('encrypted') });
    images.images = [];
    expect(await createImage({ images, now: at(5) }, { bake: made, waiting })).toMatchObject({ waiting: { wait: 10 } });
    const late = createImage({ images, now: at(43_200) }, { bake: made, waiting });
    await expect(late).rejects.toMatchObject({ name: 'ImageFailed' });
  });
});

describe('an image that was tested', () => {
  const manifest = (result: object | null) => ({
    read: async () => Buffer.from(JSON.stringify({ jobs: { install: result === null ? null : { result } } })),
  });
  function publish({ result = { changed: 0 } as object | null, key = bake.key, state = 'scrubbed' } = {}) {
    const images = new FakeImages(image());
    const written: string[][] = [];
    const output = publishImage(
      {
        images,
        parameters: { write: async (...given) => void written.push(given) },
        files: manifest(result),
        describe: async () => ({ key, state }),
        now: at(0),
      },
      tested,
    );
    return { images, written, output };
  }

  it('becomes the current one of its project, and the test instance is terminated', async () => {
    const { images, written, output } = publish();
    expect(await output).toEqual({ bake: tested, waiting: null });
    expect(written).toEqual([['/runctl/images/demo/current', IMAGE]]);
    expect(images.terminated).toEqual([tested.tester]);
    expect(images.images[0]?.tags['runctl:image-published']).toBe('2026-11-28T10:00:00.000Z');
  });

  it('may have nothing to install at all', async () => {
    await publish({ result: null }).output;
  });

  it.each([
    ['there was something to install', { result: { cached: false, changed: 2 } }],
    ['it was not scrubbed to the end', { state: 'scrubbing' }],
    ['it is another image', { key: 'b'.repeat(64) }],
  ])('is not published when %s', async (_, given) => {
    const { written, output } = publish(given);
    await expect(output).rejects.toMatchObject({ name: 'ImageNotUsable' });
    expect(written).toEqual([]);
  });
});

it('the two newest tested images are kept, and what older bakes left goes; a newer one may be of a bake that goes on', () => {
  const published = { 'runctl:image-published': 'yes' };
  const one = (id: string, days: number, tags: Record<string, string> = published) =>
    image({ id, createdAt: STARTED + days * day, tags });
  const images = [one('new', 0, {}), one('a', -1), one('b', -2), one('c', -3), one('left', -4, {}), one('next', 1, {})];
  expect(toRemove(images, 'new').map(({ id }) => id)).toEqual(['b', 'c', 'left']);
});

describe('a bake that failed', () => {
  const instances = {
    find: async () => [
      { id: BUILDER, state: 'running' },
      { id: 'i-1', state: 'terminated' },
    ],
  };
  const clean = async (failure: Parameters<typeof cleanUpBake>[1]['failure'], images = new FakeImages(image())) => {
    const { error, cause } = await cleanUpBake({ images, instances }, { execution: { name: bake.name }, failure });
    return { images, error, cause: JSON.parse(cause) as Record<string, string> };
  };

  it('leaves no instance and no image, except one that is in use', async () => {
    const { images, error } = await clean(null);
    expect([images.terminated, images.removed, error]).toEqual([[BUILDER], [IMAGE], 'RunStopped']);
    const published = image({ tags: { 'runctl:bake': bake.name, 'runctl:image-published': 'yes' } });
    expect((await clean(null, new FakeImages(published))).images.removed).toEqual([]);
  });

  it('says which run did not succeed, and how to read its log', async () => {
    const nested = { Name: 'demo-image-1-build', ExecutionArn: 'arn:x', Error: 'InstallFailed' };
    const Cause = JSON.stringify({ ...nested, Cause: JSON.stringify({ message: 'no such package' }) });
    const { error, cause } = await clean({ Error: 'States.TaskFailed', Cause, state: 'Install on builder' });
    expect(error).toBe('InstallFailed');
    expect(cause.message).toMatch(/demo-image-1-build.*InstallFailed: no such package/);
    expect(cause.next).toContain('runctl logs demo-image-1-build');
    const own = await clean({ Error: 'InstallFailed', Cause: '{"message":"none"}', state: 'Run on test instance' });
    expect(own.cause.message).toMatch(/demo-image-1-test.*InstallFailed: none/);
  });

  it.each([
    ['ScrubFailed', JSON.stringify({ errorMessage: 'ScrubFailed: a key' }), 'ScrubFailed', 'a key'],
    ['Error', JSON.stringify({ errorMessage: 'NoCapacity: none' }), 'NoCapacity', 'none'],
    ['States.Timeout', '', 'Internal', ''],
  ])('of %s has the name of its error', async (error_, Cause, name, message) => {
    const { error, cause } = await clean({ Error: error_, Cause, state: 'Scrub builder' });
    expect([error, cause.message]).toEqual([name, message]);
  });
});
