import { announcedKey, MANIFEST, runFileKey } from '../names.ts';
import { readManifest } from '../outcome/manifest-schema.ts';
import type { RunFiles } from '../outcome/write-manifest.ts';
import { type Metric, runMetrics } from './metrics.ts';
import type { News } from './news.ts';
import { endNotification, type Notification, newsNotification } from './notification.ts';

export interface AnnouncePorts {
  readonly files: Pick<RunFiles, 'read' | 'exists' | 'write'>;
  readonly notify: (notification: Notification) => Promise<void>;
  readonly measure: (metrics: readonly Metric[]) => Promise<void>;
}

/**
 * Tells people of a run that has ended, as its manifest says, and measures it. May be called again: what has been told is not told twice, but when the call before died
 * between the telling and its note of it.
 */
export async function announceEnd(ports: AnnouncePorts, runId: string): Promise<void> {
  const text = Buffer.from(await ports.files.read(runFileKey(runId, MANIFEST))).toString('utf8');
  const manifest = readManifest(text);
  if (manifest === null) throw new Error(`the manifest of run ${runId} cannot be read`);
  await once(ports, `${runId}/measured`, () => ports.measure(runMetrics(manifest)));
  await once(ports, `${runId}/ended`, () => ports.notify(endNotification(manifest)));
}

export async function announceNews(ports: AnnouncePorts, news: News): Promise<void> {
  await once(ports, `${news.run.id}/${news.news}`, () => ports.notify(newsNotification(news)));
}

/** Noted in the bucket for a day: events come again within minutes. A run's name comes back after 90 days. */
async function once({ files }: AnnouncePorts, what: string, tell: () => Promise<void>): Promise<void> {
  const key = announcedKey(what);
  if (await files.exists(key)) return;
  await tell();
  await files.write(key, '{}', { onlyFirst: false });
}
