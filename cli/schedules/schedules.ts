import {
  CreateScheduleCommand,
  type CreateScheduleCommandInput,
  DeleteScheduleCommand,
  type SchedulerClient,
  UpdateScheduleCommand,
} from '@aws-sdk/client-scheduler';
import { errorName, withAwsErrors } from '../../aws/errors.ts';
import { getSchedule, scheduleNames } from '../../aws/schedules.ts';
import { SCHEDULE_GROUP } from '../../core/names.ts';
import { readSchedule } from '../../core/schedule/expression.ts';
import { scheduledStart, specInTarget } from '../../core/schedule/scheduled-start.ts';
import type { SpecInput } from '../../core/spec/spec.ts';

type Client = Pick<SchedulerClient, 'send'>;

/** Description of schedules that the command created; other schedules belong to the stack. */
const MADE_BY = 'Made by runctl schedule add';
/** As for schedules of the stack: a run that is an hour late is not started (lib/storage/schedules.ts). */
const RETRIES = { MaximumEventAgeInSeconds: 3_600, MaximumRetryAttempts: 185 };

export interface NewSchedule {
  readonly fullName: string;
  readonly expression: string;
  readonly timezone: string;
  readonly spec: SpecInput;
  /** ARN of start-run. */
  readonly functionArn: string;
  readonly roleArn: string;
  readonly deadLettersArn: string;
}

export interface ScheduleRow {
  readonly fullName: string;
  readonly expression: string;
  readonly timezone: string;
  /** The spec of each run. */
  readonly spec: SpecInput;
  readonly enabled: boolean;
  readonly ownedByStack: boolean;
  /** Epoch milliseconds. */
  readonly createdAt: number;
}

/** @returns false when a schedule of this name exists and is not to be replaced */
export async function putSchedule(client: Client, schedule: NewSchedule, replace: boolean): Promise<boolean> {
  const input = inputOf(schedule);
  if (replace) {
    try {
      await client.send(new UpdateScheduleCommand(input));
      return true;
    } catch (error) {
      if (errorName(error) !== 'ResourceNotFoundException')
        await withAwsErrors(`scheduler:UpdateSchedule ${schedule.fullName}`, Promise.reject(error));
    }
  }
  try {
    await client.send(new CreateScheduleCommand(input));
    return true;
  } catch (error) {
    if (errorName(error) === 'ConflictException') return false;
    return await withAwsErrors(`scheduler:CreateSchedule ${schedule.fullName}`, Promise.reject(error));
  }
}

function inputOf(schedule: NewSchedule): CreateScheduleCommandInput {
  return {
    Name: schedule.fullName,
    GroupName: SCHEDULE_GROUP,
    Description: MADE_BY,
    ScheduleExpression: schedule.expression,
    ScheduleExpressionTimezone: schedule.timezone,
    FlexibleTimeWindow: { Mode: 'OFF' },
    // A schedule with a single time would otherwise stay in the list for ever.
    ActionAfterCompletion: 'DELETE',
    Target: {
      Arn: schedule.functionArn,
      RoleArn: schedule.roleArn,
      Input: JSON.stringify(scheduledStart(schedule.fullName, schedule.spec)),
      DeadLetterConfig: { Arn: schedule.deadLettersArn },
      RetryPolicy: RETRIES,
    },
  };
}

/** All schedules that start runs, sorted by name. */
export async function listSchedules(client: Client): Promise<ScheduleRow[]> {
  const rows: ScheduleRow[] = [];
  for (const name of await scheduleNames(client)) {
    const found = await getSchedule(client, name);
    if (found === null) continue;
    rows.push({
      fullName: name,
      expression: found.ScheduleExpression ?? '',
      timezone: found.ScheduleExpressionTimezone ?? 'UTC',
      spec: specInTarget(JSON.parse(found.Target?.Input ?? '{}')) as SpecInput,
      enabled: found.State !== 'DISABLED',
      ownedByStack: found.Description !== MADE_BY,
      createdAt: found.CreationDate?.getTime() ?? 0,
    });
  }
  return rows;
}

export async function removeSchedule(client: Client, Name: string): Promise<void> {
  await withAwsErrors(
    `scheduler:DeleteSchedule ${Name}`,
    client.send(new DeleteScheduleCommand({ Name, GroupName: SCHEDULE_GROUP })),
  );
}

/** When a schedule starts its next runs; epoch milliseconds. Empty when it is disabled or has ended. */
export function nextTimes(row: ScheduleRow, count: number, now: number): number[] {
  if (!row.enabled) return [];
  return readSchedule(row.expression, row.timezone).next(count, now, row.createdAt);
}
