import type { HistoryEvent } from '@aws-sdk/client-sfn';
import type { StateEvent } from '../core/workflow/history.ts';

/** States in which a run spends time; a Choice or a Pass takes none. */
const LASTING = /^(Task|Wait|Succeed|Fail)State(Entered|Exited)$/;

/** Of a history's events, the states that were entered and left. */
export function toStateEvents(events: readonly HistoryEvent[]): StateEvent[] {
  return events.flatMap((event) => {
    const entered = event.stateEnteredEventDetails;
    const exited = event.stateExitedEventDetails;
    const state = entered?.name ?? exited?.name;
    if (state === undefined) return [];
    return { kind: entered ? 'entered' : 'exited', state, at: timeOf(event), output: exited?.output ?? null };
  });
}

/** The same, of states that last. */
export function toLastingStateEvents(events: readonly HistoryEvent[]): StateEvent[] {
  return toStateEvents(events.filter(({ type }) => LASTING.test(type ?? '')));
}

export function timeOf(event: HistoryEvent): number {
  return event.timestamp?.getTime() ?? 0;
}
