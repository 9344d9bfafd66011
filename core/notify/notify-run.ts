import { MANIFEST, notifiedKey, runFileKey } from '../names.ts';
import { readManifest } from '../outcome/manifest-schema.ts';
import type { RunFiles } from '../outcome/write-manifest.ts';
import { type Metric, runMetrics } from './metrics.ts';
import { endNotification, type Notification, progressNotification } from './notification.ts';
import type { RunProgressEvent } from './progress-event.ts';

export interface NotifyPorts {
  readonly files: Pick<RunFiles, 'read' | 'exists' | 'write'>;
  readonly publish: (notification: Notification) => Promise<void>;
  readonly measure: (metrics: readonly Metric[]) => Promise<void>;
}

/**
 * Notifies people that a run has ended, as its manifest says, and writes its metrics. May be called again: nothing is sent twice, unless the
 * call before was killed between the notification and its record.
 */
export async function notifyEnd(ports: NotifyPorts, runId: string): Promise<void> {
  const text = Buffer.from(await ports.files.read(runFileKey(runId, MANIFEST))).toString('utf8');
  const manifest = readManifest(text);
  if (manifest === null) throw new Error(`the manifest of run ${runId} cannot be read`);
  await once(ports, `${runId}/measured`, () => ports.measure(runMetrics(manifest)));
  await once(ports, `${runId}/ended`, () => ports.publish(endNotification(manifest)));
}

export async function notifyProgress(ports: NotifyPorts, event: RunProgressEvent): Promise<void> {
  await once(ports, `${event.run.id}/${event.kind}`, () => ports.publish(progressNotification(event)));
}

/** Recorded in the bucket for a day: events are delivered again within minutes, and a run's name may be used again after 90 days. */
async function once({ files }: NotifyPorts, what: string, notify: () => Promise<void>): Promise<void> {
  const key = notifiedKey(what);
  if (await files.exists(key)) return;
  await notify();
  await files.write(key, '{}', { onlyFirst: false });
}
