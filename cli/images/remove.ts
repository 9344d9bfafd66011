import { imagesOver } from '../../aws/images.ts';
import { parametersOver } from '../../aws/parameters.ts';
import { IMAGE_TAGS, imageParameter } from '../../core/images/names.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, usageError } from '../errors.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** Deregisters an image that a bake made, and deletes its snapshots. Instances that were started from it go on. */
export async function removeImage(
  { account, terminal }: Pick<Context, 'account'> & { readonly terminal: Pick<Terminal, 'json' | 'note' | 'print'> },
  id: string,
  { force, json }: { readonly force: boolean; readonly json: boolean },
): Promise<ExitCode> {
  const images = imagesOver(account.ec2);
  const parameters = parametersOver(account.ssm);
  const found = await images.find(id);
  const project = found?.tags[IMAGE_TAGS.project];
  if (!found || project === undefined)
    throw usageError(`${id} is not an image that runctl made.`, 'To list images: runctl image list');
  const isCurrent = (await parameters.read(imageParameter(project))) === id;
  if (isCurrent && !force)
    throw usageError(`${id} is the current image of the project ${project}.`, 'To remove it nevertheless: --force');
  if (isCurrent) await parameters.remove(imageParameter(project));
  await images.remove(found);
  if (json) terminal.json({ id, project, snapshots: [...found.snapshots] });
  else {
    terminal.print(`${id} was removed`);
    if (isCurrent) terminal.note('Launch templates that name it start no instances any more.');
  }
  return EXIT.succeeded;
}
