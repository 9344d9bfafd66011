import {
  GetScheduleCommand,
  type GetScheduleCommandOutput,
  ListSchedulesCommand,
  SchedulerClient,
} from '@aws-sdk/client-scheduler';
import { SCHEDULE_GROUP } from '../core/names.ts';
import { unless, withAwsErrors } from './errors.ts';
import { CLIENT_SETTINGS } from './settings.ts';

type Client = Pick<SchedulerClient, 'send'>;

/** The names of all schedules that start runs, sorted. */
export async function scheduleNames(client: Client): Promise<string[]> {
  const names: string[] = [];
  let NextToken: string | undefined;
  do {
    const list = client.send(new ListSchedulesCommand({ GroupName: SCHEDULE_GROUP, NextToken }));
    const page = await withAwsErrors('scheduler:ListSchedules', list);
    names.push(...(page.Schedules ?? []).map(({ Name = '' }) => Name));
    NextToken = page.NextToken;
  } while (NextToken);
  return names.sort();
}

/** The schedule; null when it was deleted meanwhile. */
export async function getSchedule(client: Client, Name: string): Promise<GetScheduleCommandOutput | null> {
  const sent = client.send(new GetScheduleCommand({ Name, GroupName: SCHEDULE_GROUP }));
  return await unless(['ResourceNotFoundException'], `scheduler:GetSchedule ${Name}`, sent);
}

/** What the schedules start runs with, as text. */
export async function scheduleInputs(client: Client): Promise<string[]> {
  const inputs: string[] = [];
  for (const name of await scheduleNames(client)) {
    const schedule = await getSchedule(client, name);
    if (schedule?.Target?.Input !== undefined) inputs.push(schedule.Target.Input);
  }
  return inputs;
}

/** For a function. */
export function createScheduleInputs(): () => Promise<string[]> {
  const client = new SchedulerClient(CLIENT_SETTINGS);
  return () => scheduleInputs(client);
}
