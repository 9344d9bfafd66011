import type { EventBridgeEvent } from 'aws-lambda';
import { createMeasure } from '../aws/metrics.ts';
import { createRunFiles } from '../aws/run-files.ts';
import { createPublish } from '../aws/topic.ts';
import { runOfManifest } from '../core/names.ts';
import { type NotifyPorts, notifyEnd, notifyProgress } from '../core/notify/notify-run.ts';
import type { RunProgressEvent } from '../core/notify/progress-event.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';

/** A manifest was written, as S3 reports by EventBridge; or the progress of a run, as its steps report it. */
export type NotifyEvent =
  | EventBridgeEvent<'Object Created', { readonly object: { readonly key: string } }>
  | RunProgressEvent;

/** Notifies people of runs. A function of its own, so that a notification that fails does not affect the run. */
export function createNotifyRun(ports: NotifyPorts) {
  return async (event: NotifyEvent): Promise<void> => {
    if ('kind' in event) return notifyProgress(ports, event);
    const runId = runOfManifest(event.detail.object.key);
    if (runId === null) throw new Error(`not a manifest: ${JSON.stringify(event.detail.object.key)}`);
    return notifyEnd(ports, runId);
  };
}

export const handler = entry(
  (event: NotifyEvent) => ('kind' in event ? event.run.id : event.detail.object.key),
  () =>
    createNotifyRun({
      files: createRunFiles(requireEnv('uploadBucket')),
      publish: createPublish(requireEnv('topicArn')),
      measure: createMeasure(),
    }),
);
