import * as z from 'zod/mini';
import { type ArchiveStore, createArchiveStore } from '../aws/archive-store.ts';
import { createExecutions, type Executions } from '../aws/executions.ts';
import { RunError } from '../core/errors.ts';
import {
  type ArchiveLocation,
  archiveUri,
  executionNameForSchedule,
  executionNameForUpload,
  isUpload,
  UPLOAD_PREFIX,
} from '../core/names.ts';
import { readScheduledStart, type ScheduledStart, timeOfStart } from '../core/schedule/scheduled-start.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';

const uploadSchema = z.object({
  detail: z.object({
    bucket: z.object({ name: z.string() }),
    object: z.object({ key: z.string(), 'version-id': z.optional(z.string()) }),
  }),
});

/**
 * Starts the run of an upload, or of a schedule. Both report at least once; the run's name comes from bucket, key and version, or from the schedule and its time, so this is idempotent. Whatever is wrong with the
 * object, a run says it; what is no event of an upload fails, and is a dead letter after Lambda's retries.
 */
export function createStartRun(
  archives: Pick<ArchiveStore, 'currentVersion'>,
  executions: Pick<Executions, 'start'>,
  { uploadBucket, runMachineArn }: { readonly uploadBucket: string; readonly runMachineArn: string },
  now: () => number = Date.now,
) {
  return async (event: unknown): Promise<{ execution: string; started: boolean } | null> => {
    const scheduled = readScheduledStart(event);
    if (scheduled !== null) return await startScheduled(scheduled);
    const read = uploadSchema.safeParse(event);
    if (!read.success) throw new Error(`not an event of S3: ${z.prettifyError(read.error)}`);
    const { bucket, object } = read.data.detail;
    if (bucket.name !== uploadBucket || !object.key.startsWith(UPLOAD_PREFIX)) {
      throw new Error(`not an upload of this stack: bucket ${bucket.name}, key ${JSON.stringify(object.key)}`);
    }
    if (!isUpload(object.key)) {
      logger.info('a folder is no upload', { key: object.key });
      return null;
    }
    const unpinned = { bucket: bucket.name, key: object.key, versionId: null };
    const versionId = object['version-id'] ?? (await currentVersion(unpinned));
    const execution = executionNameForUpload({ bucket: bucket.name, key: object.key, version: versionId ?? '' });
    const started = await executions.start(runMachineArn, execution, {
      archive: archiveUri({ ...unpinned, versionId }),
    });
    logger.info(started ? 'started the run' : 'this upload has its run already', { runId: execution });
    return { execution, started };
  };

  async function startScheduled(scheduled: ScheduledStart): Promise<{ execution: string; started: boolean }> {
    const { name } = scheduled.schedule;
    const execution = executionNameForSchedule(name, new Date(timeOfStart(scheduled, now())));
    const started = await executions.start(runMachineArn, execution, scheduled.spec);
    logger.info(started ? 'started the run' : 'this time has its run already', { runId: execution, schedule: name });
    return { execution, started };
  }

  /** Of an object that is gone there is none: Verify archive will say so. */
  async function currentVersion(location: ArchiveLocation): Promise<string | null> {
    try {
      return await archives.currentVersion(location);
    } catch (error) {
      if (error instanceof RunError && error.name === 'ArchiveNotFound') return null;
      throw error;
    }
  }
}

export const handler = entry(
  (event: { id?: string }) => event.id ?? 'unknown',
  () =>
    createStartRun(createArchiveStore(), createExecutions(), {
      uploadBucket: requireEnv('uploadBucket'),
      runMachineArn: requireEnv('runMachineArn'),
    }),
);
