import { archiveUri, scheduleName } from '../../core/names.ts';
import { BadExpression, readSchedule, type ScheduleTimes } from '../../core/schedule/expression.ts';
import { formatWall, isTimeZone } from '../../core/schedule/wall-time.ts';
import type { RunSpec, SpecInput } from '../../core/spec/spec.ts';
import { formatDuration } from '../../core/units.ts';
import { withoutPackingKeys } from '../archive/code.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, usageError } from '../errors.ts';
import type { ScheduleOutput } from '../output/schemas.ts';
import type { Found } from '../project/project.ts';
import type { ScheduledCode } from './code.ts';
import { putSchedule } from './schedules.ts';

/** Names that EventBridge Scheduler accepts. */
const NAME = /^[0-9A-Za-z_.-]{1,64}$/;
const SHOWN = 3;

export interface AddRequest {
  readonly name: string;
  readonly when: string;
  readonly timezone: Found<string>;
  readonly project: Found<string>;
  /** The run spec of the options. */
  readonly spec: SpecInput;
  /** References that its runs read, by the name of the variable. */
  readonly secrets: RunSpec['secrets'];
  readonly replace: boolean;
  readonly yes: boolean;
  readonly json: boolean;
}

/** The machine's time zone, unless --timezone names one. @throws CliError */
export function chooseTimezone(given: string | undefined): Found<string> {
  if (given === undefined) {
    const value = new Intl.DateTimeFormat().resolvedOptions().timeZone;
    // Etc/Unknown: what a machine without a zone has, as with TZ= in its environment.
    if (isTimeZone(value)) return { value, from: "this machine's" };
    throw usageError(
      `The time zone of this machine is not known (${value}).`,
      'Name one, for example: --timezone Europe/Berlin, or --timezone UTC',
    );
  }
  if (!isTimeZone(given))
    throw usageError(`The time zone ${given} is unknown.`, 'Give an IANA name, for example: --timezone Europe/Berlin');
  return { value: given, from: '--timezone' };
}

/** Checks name and times before anything is asked or uploaded. @throws CliError */
export function checkSchedule(name: string, project: string, when: string, timezone: string): ScheduleTimes {
  const fullName = scheduleName(project, name);
  if (!NAME.test(fullName))
    throw usageError(
      `${fullName} is not a valid name of a schedule.`,
      'Use A-Z a-z 0-9 . _ - and at most 64 characters, including the project.',
    );
  try {
    const times = readSchedule(when, timezone);
    if (times.next(1, Date.now() - 1, Date.now()).length > 0) return times;
  } catch (error) {
    if (error instanceof BadExpression) throw usageError(error.message, 'See: runctl schedule add --help');
    throw error;
  }
  throw usageError(`"${when}" (${timezone}) has no time in the future.`, 'Give a later time.');
}

/** Shows the next times, asks, uploads the code, and creates the schedule. */
export async function addSchedule(
  { account, terminal, signal }: Context,
  request: AddRequest,
  code: ScheduledCode,
): Promise<ExitCode> {
  const { name, project, timezone } = request;
  const times = checkSchedule(name, project.value, request.when, timezone.value);
  const now = Date.now();
  const next = times.next(SHOWN, now - 1, now);
  const fullName = scheduleName(project.value, name);
  terminal.note(`schedule   ${fullName}: ${times.expression}, time zone ${timezone.value} (${timezone.from})`);
  terminal.note(`project    ${project.value} (from ${project.from})`);
  terminal.note(`code       ${code.description}`);
  for (const [name, reference] of Object.entries(request.secrets))
    terminal.note(`secret     ${name} from ${reference}`);
  next.forEach((time, index) => {
    const away = time <= now ? 'as soon as the schedule is created' : `in ${formatDuration((time - now) / 1_000)}`;
    terminal.note(`${index === 0 ? 'next runs  ' : '           '}${formatWall(time, timezone.value)}, ${away}`);
  });
  if (!request.yes && !terminal.isInteractive)
    throw usageError(
      'Nobody can confirm the schedule: this is not a terminal.',
      'To create it without a question: --yes',
    );
  const question = request.replace ? 'Create this schedule, or replace the one of this name?' : 'Create this schedule?';
  if (!request.yes && !(await terminal.confirm(question, signal))) {
    terminal.note('Nothing was scheduled.');
    return EXIT.succeeded;
  }
  const placed = await code.upload();
  const digest = placed.sha256 === undefined ? {} : { sha256: placed.sha256 };
  const startedBy = `schedule ${name}`;
  const spec: SpecInput = {
    startedBy,
    ...withoutPackingKeys(request.spec),
    project: project.value,
    archive: archiveUri(placed),
    ...digest,
  };
  const schedule = {
    fullName,
    expression: times.expression,
    timezone: timezone.value,
    spec,
    functionArn: await account.output('startFunction'),
    roleArn: await account.output('scheduleRole'),
    deadLettersArn: await account.output('deadLetters'),
  };
  if (!(await putSchedule(account.scheduler, schedule, request.replace)))
    throw usageError(
      `The schedule ${fullName} already exists.`,
      `Replace it with --replace, or remove it: runctl schedule remove ${fullName}`,
    );
  if (request.json) {
    const output: ScheduleOutput = {
      name: fullName,
      expression: times.expression,
      timezone: timezone.value,
      next: next.map(iso),
      spec,
    };
    terminal.json(output);
  } else {
    terminal.print(fullName);
    terminal.note(
      `Created. Runs use the code as it is now; after a change, repeat the command with --replace. To remove it: runctl schedule remove ${fullName}`,
    );
  }
  return EXIT.succeeded;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
