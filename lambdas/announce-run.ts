import type { EventBridgeEvent } from 'aws-lambda';
import { createMeasure } from '../aws/metrics.ts';
import { createRunFiles } from '../aws/run-files.ts';
import { createPublish } from '../aws/topic.ts';
import { runOfManifest } from '../core/names.ts';
import { type AnnouncePorts, announceEnd, announceNews } from '../core/notify/announce-run.ts';
import type { News } from '../core/notify/news.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';

/** Of a manifest that was written, as S3 tells by EventBridge; or of a run under way, as its steps tell. */
export type Announcement = EventBridgeEvent<'Object Created', { readonly object: { readonly key: string } }> | News;

/** Tells people of runs. Apart from the runs themselves, so that no trouble with telling reaches one. */
export function createAnnounce(ports: AnnouncePorts) {
  return async (event: Announcement): Promise<void> => {
    if ('news' in event) return announceNews(ports, event);
    const runId = runOfManifest(event.detail.object.key);
    if (runId === null) throw new Error(`not a manifest: ${JSON.stringify(event.detail.object.key)}`);
    return announceEnd(ports, runId);
  };
}

export const handler = entry(
  (event: Announcement) => ('news' in event ? event.run.id : event.detail.object.key),
  () =>
    createAnnounce({
      files: createRunFiles(requireEnv('uploadBucket')),
      notify: createPublish(requireEnv('topicArn')),
      measure: createMeasure(),
    }),
);
