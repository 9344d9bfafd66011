import { RunError } from '../errors.ts';
import type { Bake, BakeInput, BakeOutput } from './data.ts';
import { IMAGE_TAGS, imageName, MADE_BY_BAKE } from './names.ts';
import type { Images } from './ports.ts';
import { again, done, type Patience } from './visit.ts';

export interface CreatePorts {
  readonly images: Pick<Images, 'create' | 'find' | 'terminate'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** EC2 copies the blocks of the volumes: an hour for hundreds of GiB. */
const COPY: Patience = { longest: 43_200, error: 'ImageFailed' };

/** One visit: makes an image of the stopped builder, waits until it can be used, and terminates the builder. @throws RunError `ImageFailed` */
export async function createImage({ images, now }: CreatePorts, { bake, waiting }: BakeInput): Promise<BakeOutput> {
  const at = now() / 1_000;
  const name = imageName(bake.name);
  if (bake.image === null) {
    const image = await images.create({ instanceId: bake.builder ?? '', name, tags: tagsOf(bake) });
    const message = image === null ? `EC2 does not show the image ${name} yet.` : `EC2 makes the image ${image}.`;
    return again({ ...bake, image }, waiting, at, message, COPY);
  }
  const found = await images.find(bake.image);
  if (found !== null && ['failed', 'invalid', 'error', 'deregistered'].includes(found.state)) {
    throw new RunError(
      'ImageFailed',
      `The image ${bake.image} is ${found.state}: ${found.reason ?? 'EC2 gives no reason'}`,
    );
  }
  if (found?.state !== 'available') return again(bake, waiting, at, `EC2 makes the image ${bake.image}.`, COPY);
  await images.terminate([bake.builder ?? '']);
  return done(bake);
}

function tagsOf({ name, project, key, base }: Bake): Record<string, string> {
  return {
    Name: imageName(name),
    [MADE_BY_BAKE.key]: MADE_BY_BAKE.value,
    [IMAGE_TAGS.bake]: name,
    [IMAGE_TAGS.project]: project,
    [IMAGE_TAGS.key]: key,
    [IMAGE_TAGS.base]: base,
  };
}
