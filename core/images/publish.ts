import { RunError } from '../errors.ts';
import { MANIFEST, runFileKey } from '../names.ts';
import type { Bake, BakeOutput } from './data.ts';
import { bakeRunId, IMAGE_TAGS, imageParameter, KEPT_IMAGES } from './names.ts';
import type { FoundImage, Images, Parameters } from './ports.ts';
import { done } from './visit.ts';

export interface PublishPorts {
  readonly images: Pick<Images, 'find' | 'tag' | 'tagged' | 'remove' | 'terminate'>;
  readonly parameters: Pick<Parameters, 'write'>;
  readonly files: { read(key: string): Promise<Uint8Array> };
  /** What the instance says of the image that it was started from; null: nothing. */
  readonly describe: (
    bake: Bake,
    instanceId: string,
  ) => Promise<{ readonly key: string; readonly state: string } | null>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/**
 * Makes the image the current one of its project, once the run on the test instance had nothing to install, and removes older images.
 * @throws RunError `ImageNotUsable`
 */
export async function publishImage(ports: PublishPorts, bake: Bake): Promise<BakeOutput> {
  const { images, parameters, now } = ports;
  const image = bake.image ?? '';
  await refuseUnlessUsable(ports, bake);
  await images.terminate(bake.tester === null ? [] : [bake.tester]);
  await images.tag(image, { [IMAGE_TAGS.published]: new Date(now()).toISOString() });
  await parameters.write(imageParameter(bake.project), image);
  const own = await images.tagged({ [IMAGE_TAGS.project]: bake.project });
  for (const old of toRemove(own, image)) await images.remove(old);
  return done(bake);
}

async function refuseUnlessUsable({ files, describe }: PublishPorts, bake: Bake): Promise<void> {
  const refused = (why: string) => new RunError('ImageNotUsable', `The image ${bake.image} was not published: ${why}.`);
  const run = bakeRunId(bake.name, 'test');
  const manifest = JSON.parse(Buffer.from(await files.read(runFileKey(run, MANIFEST))).toString('utf8')) as {
    readonly jobs?: { readonly install?: { readonly result?: { readonly changed?: number } | null } | null };
  };
  const install = manifest.jobs?.install;
  // Without requirements there is no install.
  if (install && install.result?.changed !== 0) throw refused(`the run ${run} on it had packages to install`);
  const described = await describe(bake, bake.tester ?? '');
  if (described?.state !== 'scrubbed') throw refused('its builder was not scrubbed to the end');
  if (described.key !== bake.key) throw refused('it has the key of another image');
}

/** All but the newest published ones, the current one among them; and what bakes left that did not end. */
export function toRemove(images: readonly FoundImage[], current: string): FoundImage[] {
  const published = (one: FoundImage) => one.id === current || one.tags[IMAGE_TAGS.published] !== undefined;
  const newest = images.filter(published).sort((a, b) => place(b) - place(a));
  const kept = new Set(newest.slice(0, KEPT_IMAGES).map(({ id }) => id));
  const ofCurrent = images.find(({ id }) => id === current)?.createdAt ?? 0;
  // One that is not published may be that of a bake which is under way: such a one is newer.
  return images.filter((one) => !kept.has(one.id) && (published(one) || one.createdAt < ofCurrent));

  function place(one: FoundImage): number {
    return one.id === current ? Number.POSITIVE_INFINITY : one.createdAt;
  }
}
