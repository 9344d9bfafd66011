import { withAwsErrors } from '../../aws/errors.ts';
import type { ArchiveLocation } from '../../core/names.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { formatSize } from '../../core/units.ts';
import type { Context } from '../context.ts';
import { sendPatch } from './send-patch.ts';
import { findArchive, type LocalArchive, putArchive, type UploadOptions, uploadArchive } from './upload.ts';

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
    const sending = to.start === null ? storeArchive : start;
    return await withAwsErrors(
      `s3:PutObject to ${to.bucket}`,
      sending(account.s3, archive, to, { signal, onProgress }),
    );
  });
  await archive.keep();
  return sent;
}

type Store = Pick<Context['account'], 's3'>['s3'];

/** Stores an archive where it starts nothing, unless the same is stored already. */
export async function storeArchive(
  s3: Store,
  archive: LocalArchive,
  to: Omit<SendTo, 'start'>,
  options: UploadOptions = {},
): Promise<Sent> {
  const none = { reused: false, runId: null, sentBytes: 0, patch: null };
  const existing = await findArchive(s3, archive, to, options);
  if (existing) return { ...none, ...existing, reused: true };
  const patch = to.patch === true ? await sendPatch(s3, archive, to, options) : null;
  if (patch) return { ...none, ...patch, sentBytes: patch.bytes };
  return { ...none, ...(await putArchive(s3, archive, to, options)), sentBytes: archive.bytes };
}

async function start(s3: Store, archive: LocalArchive, to: SendTo, options: UploadOptions): Promise<Sent> {
  const spec = to.start ?? {};
  const upload = await uploadArchive(s3, archive, { bucket: to.bucket, project: to.project, spec }, options);
  return { ...upload, reused: false, sentBytes: archive.bytes, patch: null };
}
