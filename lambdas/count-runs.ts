import type { EventBridgeEvent } from 'aws-lambda';
import { METRICS } from '../core/notify/metrics.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { createExecutions, type Executions } from './adapters/executions.ts';
import { createMeasure, type Measure } from './adapters/metrics.ts';

interface StatusChange {
  readonly executionArn: string;
  readonly status: string;
}
type StatusEvent = EventBridgeEvent<'Step Functions Execution Status Change', StatusChange>;

/** Counts the runs whenever one starts or ends. The list may not have this change in it yet: the event has. */
export function createCount(executions: Pick<Executions, 'running'>, measure: Measure) {
  return async ({ detail }: Pick<StatusEvent, 'detail'>): Promise<{ running: number }> => {
    const running = new Set(await executions.running());
    if (detail.status === 'RUNNING') running.add(detail.executionArn);
    else running.delete(detail.executionArn);
    await measure([{ name: METRICS.running, value: running.size, unit: 'Count' }]);
    return { running: running.size };
  };
}

export const handler = entry(
  ({ detail }: StatusEvent) => detail.executionArn,
  () => createCount(createExecutions(requireEnv('runMachineArn')), createMeasure()),
);
