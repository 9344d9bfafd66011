import type { EventBridgeEvent } from 'aws-lambda';
import { createExecutions, type Executions } from '../aws/executions.ts';
import { createMeasure, type Measure } from '../aws/metrics.ts';
import { METRICS } from '../core/notify/metrics.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';

interface StatusChange {
  readonly executionArn: string;
  readonly status: string;
}
type StatusEvent = EventBridgeEvent<'Step Functions Execution Status Change', StatusChange>;

/** Counts the runs whenever one starts or ends. The list may not have this change in it yet: the event has. */
export function createCount(executions: Pick<Executions, 'running'>, measure: Measure, runMachineArn: string) {
  return async ({ detail }: Pick<StatusEvent, 'detail'>): Promise<{ running: number }> => {
    const running = new Set(await executions.running(runMachineArn));
    if (detail.status === 'RUNNING') running.add(detail.executionArn);
    else running.delete(detail.executionArn);
    await measure([{ name: METRICS.running, value: running.size, unit: 'Count' }]);
    return { running: running.size };
  };
}

export const handler = entry(
  ({ detail }: StatusEvent) => detail.executionArn,
  () => createCount(createExecutions(), createMeasure(), requireEnv('runMachineArn')),
);
