import { scheduleName } from '../../core/names.ts';
import { BadExpression } from '../../core/schedule/expression.ts';
import { formatWall } from '../../core/schedule/wall-time.ts';
import { formatDuration } from '../../core/units.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, usageError } from '../errors.ts';
import type { ListedScheduleOutput } from '../output/schemas.ts';
import { listSchedules, nextTimes, removeSchedule, type ScheduleRow } from './schedules.ts';

/** Prints all schedules. */
export async function showSchedules({ account, terminal }: Context, json: boolean): Promise<ExitCode> {
  const now = Date.now();
  const rows = await listSchedules(account.scheduler);
  if (json) terminal.json(rows.map((row) => rowJson(row, now)));
  else if (rows.length === 0)
    terminal.note("There are no schedules. To create one: runctl schedule add nightly 'daily 02:00'");
  else
    terminal.table(
      ['NAME', 'PROJECT', 'WHEN', 'NEXT RUN', 'STATE', 'FROM'],
      rows.map((row) => [
        row.fullName,
        row.spec.project ?? '-',
        `${row.expression} ${row.timezone}`,
        nextRun(row, now),
        row.enabled ? 'enabled' : 'disabled',
        row.ownedByStack ? 'cdk.json' : 'schedule add',
      ]),
    );
  return EXIT.succeeded;
}

function rowJson(row: ScheduleRow, now: number): ListedScheduleOutput {
  const { fullName, expression, timezone, spec, enabled, ownedByStack, createdAt } = row;
  return {
    name: fullName,
    expression,
    timezone,
    next: times(row, 3, now).map((time) => new Date(time).toISOString()),
    spec,
    enabled,
    ownedByStack,
    createdAt: new Date(createdAt).toISOString(),
  };
}

function nextRun(row: ScheduleRow, now: number): string {
  const [time] = times(row, 1, now);
  return time === undefined ? '-' : `${formatWall(time, row.timezone)}, in ${formatDuration((time - now) / 1_000)}`;
}

/** A schedule that was created by hand may have an expression that runctl cannot read. */
function times(row: ScheduleRow, count: number, now: number): number[] {
  try {
    return nextTimes(row, count, now);
  } catch (error) {
    if (error instanceof BadExpression) return [];
    throw error;
  }
}

/** Removes a schedule by its full name or its name within the project. */
export async function deleteSchedule(
  { account, terminal }: Context,
  name: string,
  { project, json }: { readonly project: string; readonly json: boolean },
): Promise<ExitCode> {
  const rows = await listSchedules(account.scheduler);
  const names = [name, scheduleName(project, name)];
  const row = rows.find(({ fullName }) => names.includes(fullName));
  if (!row)
    throw usageError(
      `There is no schedule ${names.join(' or ')}.`,
      rows.length === 0
        ? 'There are no schedules.'
        : `Existing schedules: ${rows.map(({ fullName }) => fullName).join(', ')}`,
    );
  if (row.ownedByStack)
    throw usageError(
      `${row.fullName} is defined in cdk.json, so the next deployment would create it again.`,
      'Remove it from runctl:schedules in cdk.json, then deploy: runctl deploy',
    );
  await removeSchedule(account.scheduler, row.fullName);
  if (json) terminal.json({ name: row.fullName });
  else terminal.print(row.fullName);
  terminal.note('Removed. Runs that it has started continue.');
  return EXIT.succeeded;
}
