import { withAwsErrors } from '../../aws/errors.ts';
import type { ArchiveLocation } from '../../core/names.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { formatSize } from '../../core/units.ts';
import type { Context } from '../context.ts';
import { type LocalArchive, storeArchive, uploadArchive } from './upload.ts';

export interface Sent extends ArchiveLocation {
  /** The same archive had been uploaded before. */
  readonly reused: boolean;
  /** The run that the upload starts, or null. */
  readonly runId: string | null;
}

/**
 * Uploads an archive and shows the progress.
 * @param to `start`: the spec of the run that the upload starts; null when it starts none
 */
export async function send(
  { account, terminal, signal }: Pick<Context, 'account' | 'terminal' | 'signal'>,
  archive: LocalArchive,
  { bucket, project, start }: { bucket: string; project: string; start: SpecInput | null },
): Promise<Sent> {
  const what = `Uploading ${formatSize(archive.bytes)}`;
  return await terminal.working(what, async (update) => {
    const onProgress = (bytes: number) =>
      update(`${what}: ${Math.floor((100 * bytes) / archive.bytes)} %, ${formatSize(bytes)}`);
    const options = { signal, onProgress };
    const action = `s3:PutObject to ${bucket}`;
    if (start === null) {
      const stored = await withAwsErrors(action, storeArchive(account.s3, archive, { bucket, project }, options));
      return { ...stored, runId: null };
    }
    const upload = await withAwsErrors(
      action,
      uploadArchive(account.s3, archive, { bucket, project, spec: start }, options),
    );
    return { ...upload, reused: false };
  });
}
