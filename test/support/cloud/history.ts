import { type HistoryEvent, paginateGetExecutionHistory, type SFNClient } from '@aws-sdk/client-sfn';

/** All events of an execution, the oldest first. */
export async function historyOf(client: SFNClient, executionArn: string): Promise<HistoryEvent[]> {
  const pages: HistoryEvent[][] = [];
  for await (const { events = [] } of paginateGetExecutionHistory({ client, pageSize: 1_000 }, { executionArn }))
    pages.push(events);
  return pages.flat();
}
