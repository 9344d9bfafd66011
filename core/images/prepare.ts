import type { ArchiveReport } from '../archive/verify.ts';
import { RunError } from '../errors.ts';
import { type ArchiveLocation, archiveUri, ENABLED_TAG } from '../names.ts';
import { deriveProject, readSpecFile } from '../spec/archive-spec.ts';
import { resolveSpec } from '../spec/spec.ts';
import type { RunProgram } from '../workflow/data.ts';
import type { Bake } from './data.ts';
import type { ParsedInput } from './input.ts';
import { imageKey } from './key.ts';
import { IMAGE_TAGS } from './names.ts';
import type { Images } from './ports.ts';

export interface PreparePorts {
  readonly images: Pick<Images, 'template' | 'find' | 'tagged'>;
}

/** Says what the bake makes, and whether there is such an image already. @throws RunError `LaunchTemplateNotFound`, `LaunchTemplateNotEnabled` */
export async function prepareBake(
  { images }: PreparePorts,
  about: {
    readonly name: string;
    readonly input: ParsedInput;
    /** Of the archive: its version is pinned. */
    readonly location: ArchiveLocation;
    readonly report: ArchiveReport;
    readonly program: RunProgram;
  },
): Promise<Bake> {
  const { name, input, location, report, program } = about;
  const { template, base } = await findBase({ images }, input);
  const spec = resolveSpec(readSpecFile(report), input.spec);
  const project = spec.project ?? deriveProject(location, report);
  const key = imageKey({ project, base, spec, digests: report.digests });
  const known = await images.tagged({ [IMAGE_TAGS.project]: project, [IMAGE_TAGS.key]: key });
  const existing = known.find((one) => one.state === 'available' && one.tags[IMAGE_TAGS.published] !== undefined);
  return {
    name,
    project,
    user: spec.user,
    key,
    base,
    template,
    run: { ...input.spec, archive: archiveUri(location), project },
    program,
    builder: null,
    image: existing?.id ?? null,
    tester: null,
    exists: existing !== undefined,
  };
}

/** The image that is built upon: a launch template may name an image of ours, which was built upon another one. */
async function findBase({ images }: PreparePorts, { launchTemplate, launchTemplateVersion }: ParsedInput) {
  const template = await images.template(launchTemplate, launchTemplateVersion);
  const named = `The launch template ${launchTemplate}, version ${launchTemplateVersion},`;
  if (template === null) throw new RunError('LaunchTemplateNotFound', `${named} does not exist.`);
  const { id, version, image, tags } = template;
  if (tags[ENABLED_TAG.key] !== ENABLED_TAG.value) {
    const tag = `${ENABLED_TAG.key}=${ENABLED_TAG.value}`;
    throw new RunError('LaunchTemplateNotEnabled', `The launch template ${id} does not have the tag ${tag}.`);
  }
  if (image === null) throw new RunError('LaunchTemplateNotFound', `${named} has no image.`);
  const found = await images.find(image);
  return { template: { id, version }, base: found?.tags[IMAGE_TAGS.base] ?? image };
}
