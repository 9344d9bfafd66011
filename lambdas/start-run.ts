import type { EventBridgeEvent } from 'aws-lambda';
import { archiveUri, executionNameForUpload, isUpload } from '../core/names.ts';
import { type ArchiveStore, createArchiveStore } from './adapters/archive-store.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { createExecutions, type Executions } from './adapters/executions.ts';
import { logger } from './adapters/logger.ts';

interface ObjectCreated {
  readonly bucket: { readonly name: string };
  readonly object: { readonly key: string; readonly 'version-id'?: string };
}
type UploadEvent = EventBridgeEvent<'Object Created', ObjectCreated>;

/** Starts the run of an upload. S3 tells of an upload at least once: the name comes from bucket, key and version, so twice is one run. */
export function createStartRun(
  archives: Pick<ArchiveStore, 'currentVersion'>,
  executions: Pick<Executions, 'start'>,
  uploadBucket: string,
) {
  return async ({ detail }: UploadEvent): Promise<{ execution: string; started: boolean }> => {
    const { bucket, object } = detail;
    if (bucket.name !== uploadBucket || !isUpload(object.key)) {
      throw new Error(`not an upload of this stack: bucket ${bucket.name}, key ${JSON.stringify(object.key)}`);
    }
    const unpinned = { bucket: bucket.name, key: object.key, versionId: null };
    const versionId = object['version-id'] ?? (await archives.currentVersion(unpinned));
    const execution = executionNameForUpload({ bucket: bucket.name, key: object.key, version: versionId ?? '' });
    const started = await executions.start(execution, { archive: archiveUri({ ...unpinned, versionId }) });
    logger.info(started ? 'started the run' : 'this upload has its run already', { runId: execution });
    return { execution, started };
  };
}

export const handler = entry(
  (event: UploadEvent) => event.id,
  () => createStartRun(createArchiveStore(), createExecutions(requireEnv('runMachineArn')), requireEnv('uploadBucket')),
);
