import type { Command } from 'commander';
import type { SpecInput } from '../../core/spec/spec.ts';
import { type Context, withContext } from '../context.ts';
import type { ExitCode } from '../errors.ts';
import { addSpecOptions } from '../project/spec-options.ts';

const ADD_HELP = `
WHEN is one of:
  daily 02:00, weekdays 07:30, mon 06:00, every 6h
  cron(0 2 * * ? *)          EventBridge's six fields: minutes hours day-of-month month day-of-week year
  rate(6 hours)              the first run starts immediately
  at(2026-12-24T18:00:00)    a single run

Each run uses the code as it was when the schedule was created. When clocks change, a time that does not exist is skipped,
and a time that occurs twice starts one run.

Examples:
  runctl schedule add nightly 'daily 02:00'
  runctl schedule add weekly 'cron(0 6 ? * MON *)' --timezone Europe/Berlin --if-busy skip -- --epochs 50
  runctl schedule add nightly 'daily 03:00' --replace
  runctl schedule add sweep 'every 12h' --archive s3://BUCKET/archives/code.tar.gz --yes`;

interface AddOptions extends Record<string, unknown> {
  readonly timezone?: string;
  readonly includeSecrets?: boolean;
  readonly full?: boolean;
  readonly replace?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** Adds `runctl schedule …`. */
export function addScheduleCommand(program: Command): void {
  const schedule = program.command('schedule').description('start runs at given times, with EventBridge Scheduler');

  const adding = schedule
    .command('add')
    .usage('[options] <name> <when> [-- arguments of the script]')
    .argument('<name>', 'name of the schedule within its project')
    .argument('<when>', 'when to start a run, see below')
    .argument('[arguments...]', 'arguments of the script, passed on unchanged')
    .description('start runs of this folder at given times; shows the next three times and asks first')
    .option('--timezone <name>', "IANA name (default: this machine's)")
    .option('--replace', 'replace an existing schedule of this name')
    .option('-y, --yes', 'create it without asking; needed where there is no terminal')
    .option('--include-secrets', 'also pack files that look like secrets (.env, keys, credentials)')
    .option('--full', 'upload the whole archive, also where a part of it would do')
    .option('--json', 'print one JSON document');
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
    .description('list all schedules and the times of their next runs')
    .option('--json', 'print one JSON document')
    .action(async (given: { json?: boolean }, command: Command) => {
      await withContext(command, async (context) => {
        const { showSchedules } = await import('../schedules/list.ts');
        return await showSchedules(context, given.json === true);
      });
    });

  schedule
    .command('remove')
    .argument('<name>', 'name as shown by `list`, or as given to `add`')
    .description('remove a schedule; runs that it has started continue')
    .option('--project <name>', 'project of the schedule (default: as for `run`)')
    .option('--json', 'print one JSON document')
    .action(async (name: string, given: { project?: string; json?: true }, command: Command) => {
      await withContext(command, async (context) => {
        const { deleteSchedule } = await import('../schedules/list.ts');
        const { findProject } = await import('../project/project.ts');
        const project = await findProject(context.folder, given);
        return await deleteSchedule(context, name, { project: project.name.value, json: given.json === true });
      });
    });
}

async function add(
  context: Context,
  { name, when, flags }: { name: string; when: string; flags: SpecInput },
  given: AddOptions,
): Promise<ExitCode> {
  const [{ addSchedule, checkSchedule, chooseTimezone }, { withScheduledCode }, { findProject }, { checkEnvironment }] =
    await Promise.all([
      import('../schedules/add.ts'),
      import('../schedules/code.ts'),
      import('../project/project.ts'),
      import('../project/environment.ts'),
    ]);
  const project = await findProject(context.folder, flags);
  const timezone = chooseTimezone(given.timezone);
  checkSchedule(name, project.name.value, when, timezone.value);
  const file = flags.archive === undefined ? project.file : {};
  const secrets = checkEnvironment(context.terminal, file, flags);
  const options = { replace: given.replace === true, yes: given.yes === true, json: given.json === true };
  const request = { name, when, timezone, project: project.name, spec: flags, secrets, ...options };
  const includeSecrets = given.includeSecrets === true;
  const full = given.full === true;
  return await withScheduledCode(context, { project, flags, includeSecrets, full }, (code) =>
    addSchedule(context, request, code),
  );
}
