import type { Command } from 'commander';
import { type Context, withContext } from '../context.ts';
import { type ExitCode, usageError } from '../errors.ts';

interface BakeOptions {
  readonly project?: string;
  readonly launchTemplate: string;
  readonly templateVersion: string;
  readonly archive?: string;
  readonly includeSecrets?: true;
  readonly full?: true;
  readonly detach?: true;
  readonly yes?: true;
  readonly json?: true;
}

const TEMPLATE = '--launch-template <id>';

/** Adds `runctl image bake|list|use|remove`. */
export function addImageCommand(program: Command): void {
  const group = program
    .command('image')
    .description("make and use images (AMIs) with a project's packages in place")
    .addHelpText(
      'after',
      `
An instance that is started from such an image has nothing to install for its first run. docs/guide/images.md has more.`,
    );
  addBake(group);
  addList(group);
  addUse(group);
  addRemove(group);
}

function addBake(group: Command): void {
  group
    .command('bake')
    .description('make an image with the packages of this folder, unless there is one')
    .requiredOption(TEMPLATE, 'lt-… or name of a launch template with the tag runctl=enabled')
    .option('--template-version <version>', 'a number, $Default or $Latest', '$Default')
    .option('--project <name>', 'name of the project (default: as for `run`)')
    .option('--archive <uri>', 'use an uploaded archive instead of this folder: s3://bucket/key')
    .option('-d, --detach', 'print the name of the bake and exit; it goes on')
    .option('-y, --yes', 'start without asking; needed where there is no terminal')
    .option('--include-secrets', 'also pack files that look like secrets (.env, keys, credentials)')
    .option('--full', 'upload the whole archive, also where a part of it would do')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
An instance from the launch template installs the project as a run does, removes all keys, logs and code, and powers
itself off; EC2 makes an image of it. A second instance, from the image, must find nothing to install. Then the image
is the current one of its project, and all but the two newest are removed. EC2 bills both instances, and the snapshot.

Examples:
  runctl image bake --launch-template lt-0123456789abcdef0
  runctl image bake --launch-template gpu --yes --json | jq -r .image`,
    )
    .action((options: BakeOptions, self: Command) => withContext(self, (context) => bake(context, options)));
}

async function bake(context: Context, options: BakeOptions): Promise<ExitCode> {
  const [{ bakeImage }, { withScheduledCode }, { findProject }, { parseSpec }] = await Promise.all([
    import('../images/bake.ts'),
    import('../schedules/code.ts'),
    import('../project/project.ts'),
    import('../../core/spec/spec.ts'),
  ]);
  const flags = parseSpec({ project: options.project, archive: options.archive }, 'the options');
  if (flags.archive !== undefined && flags.project === undefined)
    throw usageError('With --archive, the project must be named.', 'Add --project <name>.');
  const project = await findProject(context.folder, flags);
  const code = { project, flags, includeSecrets: options.includeSecrets === true, full: options.full === true };
  const { archive: _, ...spec } = flags;
  const request = {
    project: project.name.value,
    launchTemplate: options.launchTemplate,
    templateVersion: options.templateVersion,
    spec,
    detach: options.detach === true,
    yes: options.yes === true,
    json: options.json === true,
  };
  return await withScheduledCode(context, code, (placed) => bakeImage(context, request, placed));
}

function addList(group: Command): void {
  group
    .command('list')
    .description('list the images of this project, the newest first')
    .option('--project <name>', 'name of the project (default: as for `run`)')
    .option('--json', 'print one JSON document')
    .action((options: { project?: string; json?: true }, self: Command) =>
      withContext(self, async (context) => {
        const { listImages } = await import('../images/list.ts');
        return await listImages(context, await projectOf(context, options), options.json === true);
      }),
    );
}

function addUse(group: Command): void {
  group
    .command('use')
    .description('have a launch template start instances from an image of this project')
    .argument('[image]', 'ami-… (default: the current image)')
    .requiredOption(TEMPLATE, 'lt-… or name of a launch template with the tag runctl=enabled')
    .option('--project <name>', 'name of the project (default: as for `run`)')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Makes a version of the launch template that differs in the image alone, and makes it the default version.

Example:
  runctl image use --launch-template lt-0123456789abcdef0`,
    )
    .action(
      (image: string | undefined, options: { project?: string; launchTemplate: string; json?: true }, self: Command) =>
        withContext(self, async (context) => {
          const { useImage } = await import('../images/use.ts');
          const { launchTemplate, json } = options;
          const project = await projectOf(context, options);
          return await useImage(context, { project, image: image ?? null, launchTemplate, json: json === true });
        }),
    );
}

function addRemove(group: Command): void {
  group
    .command('remove')
    .description('remove an image and its snapshots; instances that were started from it go on')
    .argument('<image>', 'ami-…, as shown by `list`')
    .option('--force', 'also the current image of its project')
    .option('--json', 'print one JSON document')
    .action((image: string, options: { force?: true; json?: true }, self: Command) =>
      withContext(self, async (context) => {
        const { removeImage } = await import('../images/remove.ts');
        return await removeImage(context, image, { force: options.force === true, json: options.json === true });
      }),
    );
}

async function projectOf({ folder }: Context, { project }: { project?: string }): Promise<string> {
  const [{ findProject }, { parseSpec }] = await Promise.all([
    import('../project/project.ts'),
    import('../../core/spec/spec.ts'),
  ]);
  return (await findProject(folder, parseSpec({ project }, 'the options'))).name.value;
}
