import type { Command } from 'commander';
import { type Context, withContext } from '../context.ts';
import { type ExitCode, usageError } from '../errors.ts';

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

interface AddOptions {
  readonly timezone?: string;
  readonly archive?: string;
  readonly project?: string;
  readonly instance?: string;
  readonly script?: string;
  readonly ifBusy?: string;
  readonly replace?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** Adds `runctl schedule …`. */
export function addScheduleCommand(program: Command): void {
  const schedule = program.command('schedule').description('have EventBridge Scheduler start runs');

  schedule
    .command('add')
    .argument('<name>', 'what it is called, in its project')
    .argument('<when>', 'when it starts a run: see below')
    .argument('[args...]', 'after --: for the script')
    .description('start runs at given times; shows the next three before it asks')
    .option('--timezone <name>', "IANA name (default: this machine's)")
    .option('--archive <uri>', 'code that is in the bucket already: s3://BUCKET/KEY')
    .option('--project <name>', 'default: found as `run` finds it')
    .option('--instance <selector>', 'i-… or tag:Key=value')
    .option('--script <path>', 'entry script')
    .option('--if-busy <what>', 'queue, skip or refuse, when the instance is busy (default: queue)')
    .option('--replace', 'in place of one of this name')
    .option('--yes', 'do not ask')
    .option('--json', 'one JSON document')
    .addHelpText('after', ADD_HELP)
    .action(async (name: string, when: string, args: string[], given: AddOptions, command: Command) => {
      await withContext(command, (context) => add(context, name, when, args, given));
    });

  schedule
    .command('list')
    .description('all schedules, and when they start their next run')
    .option('--json', 'one JSON document')
    .action(async (given: { json?: boolean }, command: Command) => {
      await withContext(command, async (context) => {
        const { showSchedules } = await import('../schedule-list.ts');
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
        const { endSchedule } = await import('../schedule-list.ts');
        const { findProject } = await import('../project.ts');
        const project = await findProject(context.folder, given);
        return await endSchedule(context, name, project.name.value);
      });
    });
}

async function add(context: Context, name: string, when: string, args: string[], given: AddOptions): Promise<ExitCode> {
  const { addSchedule, checkSchedule, chooseTimezone, pinArchive } = await import('../schedule-add.ts');
  const { findProject } = await import('../project.ts');
  const { parseSpec } = await import('../../core/spec.ts');
  const { project, instance, script, ifBusy } = given;
  const spec = parseSpec({ instance, script, ifBusy, ...(args.length > 0 ? { args } : {}) }, 'the options');
  const { name: found } = await findProject(context.folder, parseSpec({ project }, 'the options'));
  const timezone = chooseTimezone(given.timezone);
  checkSchedule(name, found.value, when, timezone.value);
  if (given.archive === undefined)
    throw usageError('--archive is missing.', 'Name the code: --archive s3://BUCKET/archives/code.tar.gz');
  const archive = await pinArchive(context.account.s3, given.archive, await context.account.output('bucket'));
  const flags = { replace: given.replace === true, yes: given.yes === true, json: given.json === true };
  return await addSchedule(context, { name, when, timezone, project: found, archive, spec, ...flags });
}
