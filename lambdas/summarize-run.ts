import type { EventBridgeEvent } from 'aws-lambda';
import { createResultFiles } from '../aws/result-files.ts';
import { runOfManifest } from '../core/names.ts';
import { type SummarizePorts, summarizeRun } from '../core/results/summarize-run.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';

/** A manifest was written, as S3 reports by EventBridge. */
export type ManifestEvent = Pick<
  EventBridgeEvent<'Object Created', { readonly object: { readonly key: string } }>,
  'detail'
>;

/** Stores metrics, report and summary of a run that has ended. A function of its own, so that its failure does not affect the run. */
export function createSummarizeRun(ports: SummarizePorts) {
  return async ({ detail }: ManifestEvent): Promise<{ points: number } | null> => {
    const { key } = detail.object;
    const runId = runOfManifest(key);
    if (runId === null) throw new Error(`not a manifest: ${JSON.stringify(key)}`);
    const summary = await summarizeRun(ports, runId);
    if (summary === null) {
      logger.warn('the manifest was deleted');
      return null;
    }
    if (summary.log?.isWhole === false)
      logger.warn('the rest of the log was left out', { bytes: summary.log.bytes, points: summary.metrics.points });
    return { points: summary.metrics.points };
  };
}

export const handler = entry(
  ({ detail }: ManifestEvent) => detail.object.key,
  () => createSummarizeRun({ filesOf: createResultFiles(requireEnv('uploadBucket')), now: Date.now }),
);
