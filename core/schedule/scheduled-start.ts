import * as z from 'zod/mini';

/** EventBridge Scheduler replaces this in a target's input by the time at which the schedule meant to start, in ISO 8601. */
const SCHEDULED_TIME = '<aws.scheduler.scheduled-time>';

/** What a schedule sends to start-run. */
export interface ScheduledStart<Spec extends object = object> {
  readonly schedule: {
    readonly name: string;
    readonly time: string;
  };
  readonly spec: Spec;
}

const schema = z.object({
  schedule: z.object({ name: z.string(), time: z.string() }),
  spec: z.record(z.string(), z.unknown()),
});

/** @param name the schedule's full name */
export function scheduledStart<Spec extends object>(name: string, spec: Spec): ScheduledStart<Spec> {
  return { schedule: { name, time: SCHEDULED_TIME }, spec };
}

/** null: it is something else, such as the event of an upload. */
export function readScheduledStart(event: unknown): ScheduledStart | null {
  return schema.safeParse(event).data ?? null;
}

/** The run spec in the input of a schedule's target. Schedules of version 0.1 start the state machine themselves, with the spec alone. */
export function specInTarget(input: unknown): object {
  return readScheduledStart(input)?.spec ?? Object(input);
}

/** Epoch ms. Not every scheduler replaces the time: then it is now. */
export function timeOfStart({ schedule }: ScheduledStart, now: number): number {
  const time = Date.parse(schedule.time);
  return Number.isNaN(time) ? now : time;
}
