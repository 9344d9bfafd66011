import type { Command } from 'commander';
import type { FoundInstance } from '../../core/workflow/choose-instance.ts';
import { type Context, withContext } from '../context.ts';
import { EXIT } from '../errors.ts';

interface InstanceOptions {
  readonly project?: string;
  readonly json?: true;
}

const SELECTOR = 'i-… or tag:Key=value (default: the instance of this project)';

/** Adds `runctl instance status|start|stop`. */
export function addInstanceCommand(program: Command): void {
  const group = program
    .command('instance')
    .description('show, start and stop the instance of this project')
    .addHelpText(
      'after',
      `
With the tag runctl:power=managed, an instance needs none of this: a run starts it, and it is stopped when nobody has
used it for stopAfter (run spec, default 10m). docs/guide/costs.md has more.`,
    );
  addStatus(group);
  addStart(group);
  addStop(group);
}

function addStatus(group: Command): void {
  common(group.command('status').description('show its state, its SSM agent, and the runs on it'))
    .addHelpText(
      'after',
      `
Examples:
  runctl instance status
  runctl instance status i-0123456789abcdef0 --json | jq -r .state`,
    )
    .action(async (selector: string | undefined, options: InstanceOptions, command: Command) => {
      await onInstance(command, selector, options, (_, instance) => Promise.resolve(instance));
    });
}

function addStart(group: Command): void {
  common(group.command('start').description('start it, and wait until runs can use it'))
    .addHelpText(
      'after',
      `
EC2 bills the instance from its start on. What was started by this command is stopped by \`runctl instance stop\` or,
with the tag runctl:power=managed, after its next run. Ctrl-C ends the waiting, not the start.

Examples:
  runctl instance start
  runctl instance start tag:Project=digits --json | jq -r .id`,
    )
    .action(async (selector: string | undefined, options: InstanceOptions, command: Command) => {
      const { startInstance } = await import('../instance/start.ts');
      await onInstance(command, selector, options, ({ account, terminal, signal }, instance) =>
        startInstance(account, terminal, instance, { signal }),
      );
    });
}

function addStop(group: Command): void {
  common(group.command('stop').description('stop it, unless runs use it, and wait until it has stopped'))
    .option('--force', 'also while runs use it: their trainings end, and what they have not saved is lost')
    .addHelpText(
      'after',
      `
Only runs of runctl count as use: whoever is logged in, and other programs, are not looked for. A run that comes
meanwhile starts a managed instance again when it has stopped. Data of instance store volumes is lost.
Ctrl-C ends the waiting, not the stop.

Examples:
  runctl instance stop
  runctl instance stop i-0123456789abcdef0 --force`,
    )
    .action(async (selector: string | undefined, options: InstanceOptions & { force?: true }, command: Command) => {
      const [{ refuseWhileUsed, stopInstance }, { runsOn }] = await Promise.all([
        import('../instance/stop.ts'),
        import('../instance/status.ts'),
      ]);
      await onInstance(command, selector, options, async ({ account, terminal, signal }, instance) => {
        if (!options.force) refuseWhileUsed(instance, await runsOn(account, instance));
        return await stopInstance(account, terminal, instance, { signal });
      });
    });
}

function common(command: Command): Command {
  return command
    .argument('[instance]', SELECTOR)
    .option('--project <name>', "use the instance of this project instead of the folder's")
    .option('--json', 'print one JSON document');
}

/** Does the work on the one instance that is meant, and prints what it is like then. */
async function onInstance(
  command: Command,
  selector: string | undefined,
  { project, json }: InstanceOptions,
  work: (context: Context, instance: FoundInstance) => Promise<FoundInstance>,
): Promise<void> {
  await withContext(command, async (context) => {
    const [{ findProject }, { parseSpec }, { oneInstance, printStatus, statusOf }] = await Promise.all([
      import('../project/project.ts'),
      import('../../core/spec/spec.ts'),
      import('../instance/status.ts'),
    ]);
    const { account, terminal, folder } = context;
    const flags = parseSpec({ project, instance: selector }, 'the options');
    const { instance: wanted } = await findProject(folder, flags);
    const from = selector === undefined ? wanted.from : 'the argument';
    const found = await oneInstance(account, { value: wanted.value, from });
    const status = await statusOf(account, await work(context, found));
    if (json) terminal.json(status);
    else printStatus(terminal, status);
    return EXIT.succeeded;
  });
}
