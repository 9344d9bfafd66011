import type { Command } from 'commander';
import type { SpecInput } from '../../core/spec/spec.ts';
import { type Context, withContext } from '../context.ts';
import type { ExitCode } from '../errors.ts';
import { addSpecOptions } from '../project/spec-options.ts';

const ADD_HELP = `
WHEN is one of
  daily 02:00, weekdays 07:30, mon 06:00, every 6h
  cron(0 2 * * ? *)          EventBridge's six fields: minutes hours day-of-month month day-of-week year
  rate(6 hours)              the first run at once
  at(2026-12-24T18:00:00)    once

Each run uses the code as it was when the schedule was made. A time that clocks skip is skipped; one that they show twice counts once.

Examples:
  $ npx runctl schedule add nightly 'daily 02:00'
  $ npx runctl schedule add weekly 'cron(0 6 ? * MON *)' --timezone Europe/Berlin --if-busy skip -- --epochs 50
  $ npx runctl schedule add nightly 'daily 03:00' --replace
  $ npx runctl schedule add sweep 'every 12h' --archive s3://BUCKET/archives/code.tar.gz --yes`;

interface AddOptions extends Record<string, unknown> {
  readonly timezone?: string;
  readonly includeSecrets?: boolean;
  readonly replace?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** Adds `runctl schedule …`. */
export function addScheduleCommand(program: Command): void {
  const schedule = program.command('schedule').description('have EventBridge Scheduler start runs');

  const adding = schedule
    .command('add')
    .usage('[options] <name> <when> [-- arguments of the script]')
    .argument('<name>', 'what it is called, in its project')
    .argument('<when>', 'when it starts a run: see below')
    .argument('[arguments...]', 'after --: arguments of the script, taken literally')
    .description('start runs of this folder at given times; shows the next three before it asks')
    .option('--timezone <name>', "IANA name (default: this machine's)")
    .option('--replace', 'in place of one of this name')
    .option('-y, --yes', 'do not ask')
    .option('--include-secrets', 'pack what looks like a secret too (.env, keys, credentials)')
    .option('--json', 'one JSON document');
  addSpecOptions(adding)
    .addHelpText('after', ADD_HELP)
    .action((name: string, when: string, words: string[], given: AddOptions, self: Command) =>
      withContext(self, async (context) => {
        const { scriptArguments, specOf } = await import('../project/spec-from-options.ts');
        return await add(context, { name, when, flags: specOf(given, scriptArguments(self, words)) }, given);
      }),
    );

  schedule
    .command('list')
    .description('all schedules, and when they start their next run')
    .option('--json', 'one JSON document')
    .action(async (given: { json?: boolean }, command: Command) => {
      await withContext(command, async (context) => {
        const { showSchedules } = await import('../schedules/list.ts');
        return await showSchedules(context, given.json === true);
      });
    });

  schedule
    .command('remove')
    .argument('<name>', 'as `list` shows it, or as `add` was given it')
    .description('end a schedule; runs that it has started go on')
    .option('--project <name>', 'default: found as `run` finds it')
    .action(async (name: string, given: { project?: string }, command: Command) => {
      await withContext(command, async (context) => {
        const { endSchedule } = await import('../schedules/list.ts');
        const { findProject } = await import('../project/project.ts');
        const project = await findProject(context.folder, given);
        return await endSchedule(context, name, project.name.value);
      });
    });
}

async function add(
  context: Context,
  { name, when, flags }: { name: string; when: string; flags: SpecInput },
  given: AddOptions,
): Promise<ExitCode> {
  const [{ addSchedule, checkSchedule, chooseTimezone }, { withScheduledCode }, { findProject }] = await Promise.all([
    import('../schedules/add.ts'),
    import('../schedules/code.ts'),
    import('../project/project.ts'),
  ]);
  const project = await findProject(context.folder, flags);
  const timezone = chooseTimezone(given.timezone);
  checkSchedule(name, project.name.value, when, timezone.value);
  const options = { replace: given.replace === true, yes: given.yes === true, json: given.json === true };
  const asked = { name, when, timezone, project: project.name, spec: flags, ...options };
  const includeSecrets = given.includeSecrets === true;
  return await withScheduledCode(context, { project, flags, includeSecrets }, (code) =>
    addSchedule(context, asked, code),
  );
}
