import { withAwsErrors } from '../../aws/errors.ts';
import type { ArchiveLocation } from '../../core/names.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { formatSize } from '../../core/units.ts';
import type { Context } from '../context.ts';
import { sendPatch } from './send-patch.ts';
import { findArchive, type LocalArchive, storeArchive, type UploadOptions, uploadArchive } from './upload.ts';

export interface Sent extends ArchiveLocation {
  /** The same archive had been uploaded before. */
  readonly reused: boolean;
  /** The run that the upload starts, or null. */
  readonly runId: string | null;
  /** Bytes that were uploaded. */
  readonly sentBytes: number;
  /** What Assemble archive makes the archive of; null: the archive itself is stored. */
  readonly patch: ArchiveLocation | null;
}

export interface SendTo {
  readonly bucket: string;
  readonly project: string;
  /** The spec of the run that the upload starts; null when it starts none. */
  readonly start: SpecInput | null;
  /** Whether a patch will do, since a run that assembles the archive follows. */
  readonly patch?: boolean;
}

/** Uploads an archive, or what it has that an earlier one has not, and shows the progress. */
export async function send(
  { account, terminal, signal }: Pick<Context, 'account' | 'terminal' | 'signal'>,
  archive: LocalArchive,
  to: SendTo,
): Promise<Sent> {
  const what = `Uploading ${formatSize(archive.bytes)}`;
  const sent = await terminal.working(what, async (update) => {
    const onProgress = (bytes: number) =>
      update(`${what}: ${Math.floor((100 * bytes) / archive.bytes)} %, ${formatSize(bytes)}`);
    const sending = to.start === null ? store : start;
    return await withAwsErrors(
      `s3:PutObject to ${to.bucket}`,
      sending(account.s3, archive, to, { signal, onProgress }),
    );
  });
  await archive.keep();
  return sent;
}

type Store = Pick<Context['account'], 's3'>['s3'];

async function store(s3: Store, archive: LocalArchive, to: SendTo, options: UploadOptions): Promise<Sent> {
  if (to.patch === true) {
    const existing = await findArchive(s3, archive, to, options);
    if (existing) return { ...existing, reused: true, runId: null, sentBytes: 0, patch: null };
    const patch = await sendPatch(s3, archive, to, options);
    if (patch) return { ...patch, reused: false, runId: null, sentBytes: patch.bytes };
  }
  const stored = await storeArchive(s3, archive, to, options);
  return { ...stored, runId: null, sentBytes: stored.reused ? 0 : archive.bytes, patch: null };
}

async function start(s3: Store, archive: LocalArchive, to: SendTo, options: UploadOptions): Promise<Sent> {
  const spec = to.start ?? {};
  const upload = await uploadArchive(s3, archive, { bucket: to.bucket, project: to.project, spec }, options);
  return { ...upload, reused: false, sentBytes: archive.bytes, patch: null };
}
