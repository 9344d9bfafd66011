import { imagesOver } from '../../aws/images.ts';
import { parametersOver } from '../../aws/parameters.ts';
import { IMAGE_TAGS, imageParameter } from '../../core/images/names.ts';
import type { FoundImage } from '../../core/images/ports.ts';
import type { Account } from '../account/account.ts';
import type { ImagesOutput } from '../output/schemas.ts';

/** The images of a project, the newest first. */
export async function imagesOf({ ec2, ssm }: Pick<Account, 'ec2' | 'ssm'>, project: string): Promise<ImagesOutput> {
  const [images, current] = await Promise.all([
    imagesOver(ec2).tagged({ [IMAGE_TAGS.project]: project }),
    parametersOver(ssm).read(imageParameter(project)),
  ]);
  return images
    .sort((one, other) => other.createdAt - one.createdAt)
    .map((one) => ({ ...described(one), current: one.id === current }));
}

function described({ id, state, createdAt, gigabytes, tags }: FoundImage): Omit<ImagesOutput[number], 'current'> {
  return {
    id,
    state,
    createdAt: new Date(createdAt).toISOString(),
    gigabytes,
    key: tags[IMAGE_TAGS.key] ?? null,
    base: tags[IMAGE_TAGS.base] ?? null,
    bake: tags[IMAGE_TAGS.bake] ?? null,
    publishedAt: tags[IMAGE_TAGS.published] ?? null,
  };
}
