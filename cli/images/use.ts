import { CreateLaunchTemplateVersionCommand, ModifyLaunchTemplateCommand } from '@aws-sdk/client-ec2';
import { withAwsErrors } from '../../aws/errors.ts';
import { imagesOver } from '../../aws/images.ts';
import { IMAGE_TAGS } from '../../core/images/names.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, usageError } from '../errors.ts';
import type { UsedImageOutput } from '../output/schemas.ts';
import { imagesOf } from './images.ts';

interface UseRequest {
  readonly project: string;
  /** null: the current one. */
  readonly image: string | null;
  readonly launchTemplate: string;
  readonly json: boolean;
}

/** Makes a version of the launch template with the image, and makes it the default one. */
export async function useImage({ account, terminal }: Context, request: UseRequest): Promise<ExitCode> {
  const { project, launchTemplate, json } = request;
  const image = request.image ?? (await currentImage(account, project));
  const images = imagesOver(account.ec2);
  const [template, found] = await Promise.all([images.template(launchTemplate, '$Default'), images.find(image)]);
  if (template === null)
    throw usageError(
      `There is no launch template ${launchTemplate}.`,
      'To list them: aws ec2 describe-launch-templates',
    );
  if (found?.tags[IMAGE_TAGS.published] === undefined)
    throw usageError(
      `${image} is not an image of runctl that was tested.`,
      `To list images: runctl image list --project ${project}`,
    );
  const before = template.image;
  let version = template.version;
  if (before !== image) {
    version = await addVersion(account, template.id, template.version, image);
    const set = new ModifyLaunchTemplateCommand({ LaunchTemplateId: template.id, DefaultVersion: version });
    await withAwsErrors(`ec2:ModifyLaunchTemplate of ${template.id}`, account.ec2.send(set));
  }
  const output: UsedImageOutput = { launchTemplate: template.id, version, image, previousVersion: template.version };
  if (json) terminal.json(output);
  else if (before === image)
    terminal.print(`${template.id} starts instances from ${image} already (version ${version})`);
  else {
    terminal.print(`${template.id}, version ${version}, starts instances from ${image}`);
    const back = `aws ec2 modify-launch-template --launch-template-id ${template.id} --default-version ${template.version}`;
    terminal.note(`Instances that run stay as they are. To go back: ${back}`);
  }
  return EXIT.succeeded;
}

async function addVersion(account: Context['account'], id: string, from: string, image: string): Promise<string> {
  const command = new CreateLaunchTemplateVersionCommand({
    LaunchTemplateId: id,
    SourceVersion: from,
    VersionDescription: `runctl: ${image}`,
    LaunchTemplateData: { ImageId: image },
  });
  const sent = account.ec2.send(command);
  const made = await withAwsErrors(`ec2:CreateLaunchTemplateVersion of ${id}`, sent);
  return String(made.LaunchTemplateVersion?.VersionNumber ?? '$Latest');
}

async function currentImage(account: Context['account'], project: string): Promise<string> {
  const current = (await imagesOf(account, project)).find((one) => one.current);
  if (current) return current.id;
  throw usageError(`The project ${project} has no current image.`, 'To make one: runctl image bake');
}
