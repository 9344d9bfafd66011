import { archiveUri, scheduleName } from '../../core/names.ts';
import { BadExpression, readSchedule, type ScheduleTimes } from '../../core/schedule/expression.ts';
import { formatWall, isTimeZone } from '../../core/schedule/wall-time.ts';
import type { RunSpec, SpecInput } from '../../core/spec/spec.ts';
import { formatDuration } from '../../core/units.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, usageError } from '../errors.ts';
import type { Found } from '../project/project.ts';
import type { ScheduledCode } from './code.ts';
import { putSchedule } from './schedules.ts';

/** What EventBridge Scheduler takes. */
const NAME = /^[0-9A-Za-z_.-]{1,64}$/;
const SHOWN = 3;

export interface AddRequest {
  readonly name: string;
  readonly when: string;
  readonly timezone: Found<string>;
  readonly project: Found<string>;
  /** What the options say. */
  readonly spec: SpecInput;
  /** References that its runs read, by the name of the variable. */
  readonly secrets: RunSpec['secrets'];
  readonly replace: boolean;
  readonly yes: boolean;
  readonly json: boolean;
}

/** The person's own time zone, unless they named one. @throws CliError */
export function chooseTimezone(given: string | undefined): Found<string> {
  if (given === undefined)
    return { value: new Intl.DateTimeFormat().resolvedOptions().timeZone, from: "this machine's" };
  if (!isTimeZone(given))
    throw usageError(`There is no time zone ${given}.`, 'Write an IANA name: --timezone Europe/Berlin');
  return { value: given, from: '--timezone' };
}

/** What of a schedule can be wrong before anything is asked or uploaded. @throws CliError */
export function checkSchedule(name: string, project: string, when: string, timezone: string): ScheduleTimes {
  const fullName = scheduleName(project, name);
  if (!NAME.test(fullName))
    throw usageError(
      `${fullName} cannot be a schedule's name.`,
      'It may have A-Z a-z 0-9 . _ - and 64 characters at most, with the project: give a shorter one.',
    );
  try {
    const times = readSchedule(when, timezone);
    if (times.next(1, Date.now() - 1, Date.now()).length > 0) return times;
  } catch (error) {
    if (error instanceof BadExpression) throw usageError(error.message, 'See: runctl schedule add --help');
    throw error;
  }
  throw usageError(`"${when}" in ${timezone} never comes again.`, 'Give a time that is still to come.');
}

/** Shows what is to come, asks, brings the code to where the runs find it, and makes the schedule. */
export async function addSchedule(
  { account, terminal, signal }: Context,
  asked: AddRequest,
  code: ScheduledCode,
): Promise<ExitCode> {
  const { name, project, timezone } = asked;
  const times = checkSchedule(name, project.value, asked.when, timezone.value);
  const now = Date.now();
  const next = times.next(SHOWN, now - 1, now);
  const fullName = scheduleName(project.value, name);
  terminal.note(`schedule   ${fullName}: ${times.expression}, time zone ${timezone.value} (${timezone.from})`);
  terminal.note(`project    ${project.value} (from ${project.from})`);
  terminal.note(`code       ${code.shown}`);
  for (const [name, reference] of Object.entries(asked.secrets)) terminal.note(`secret     ${name} from ${reference}`);
  next.forEach((time, index) => {
    const away = time <= now ? 'as soon as it is made' : `in ${formatDuration((time - now) / 1_000)}`;
    terminal.note(`${index === 0 ? 'next runs  ' : '           '}${formatWall(time, timezone.value)}, ${away}`);
  });
  const question = asked.replace ? 'Make it, in place of one of this name?' : 'Make it?';
  if (!asked.yes && !(await terminal.confirm(question, true, signal))) {
    terminal.note('Nothing was scheduled.');
    return EXIT.succeeded;
  }
  const placed = await code.place();
  const digest = placed.sha256 === undefined ? {} : { sha256: placed.sha256 };
  const spec: SpecInput = { ...asked.spec, project: project.value, archive: archiveUri(placed), ...digest };
  const schedule = {
    fullName,
    expression: times.expression,
    timezone: timezone.value,
    spec,
    machineArn: await account.output('machine'),
    roleArn: await account.output('scheduleRole'),
    deadLettersArn: await account.output('deadLetters'),
  };
  if (!(await putSchedule(account.scheduler, schedule, asked.replace)))
    throw usageError(
      `There is a schedule ${fullName} already.`,
      `Replace it with --replace, or: runctl schedule remove ${fullName}`,
    );
  if (asked.json)
    terminal.json({
      name: fullName,
      expression: times.expression,
      timezone: timezone.value,
      next: next.map(iso),
      spec,
    });
  else {
    terminal.print(fullName);
    terminal.note(
      `Made. Runs use the code as it is now; after a change: the same command with --replace. End it: runctl schedule remove ${fullName}`,
    );
  }
  return EXIT.succeeded;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
