import { withAwsErrors } from '../../aws/errors.ts';
import type { ArchiveLocation } from '../../core/names.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { formatCount, formatSize } from '../../core/units.ts';
import type { Context } from '../context.ts';
import { TransferText } from '../terminal/transfer-text.ts';
import type { AssembleNow } from './assemble-now.ts';
import type { Packed } from './pack.ts';
import { sendPatch } from './send-patch.ts';
import {
  findArchive,
  keepArchive,
  type LocalArchive,
  putArchive,
  type UploadOptions,
  uploadArchive,
} from './upload.ts';

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
  /**
   * `for-run`: a run follows, which assembles the archive of a patch. `at-once`: the archive has to be whole at the end.
   * `none`: the whole archive is sent.
   */
  readonly patch: 'for-run' | 'at-once' | 'none';
  /** Whether only a run names the archive, so that it may expire. */
  readonly expires: boolean;
}

/** Uploads an archive, or what it has that an earlier one has not, and shows the progress. */
export async function send(
  { account, terminal, signal }: Pick<Context, 'account' | 'terminal' | 'signal'>,
  archive: LocalArchive,
  to: SendTo,
): Promise<Sent> {
  const sent = await terminal.working('Uploading the code', async (update) => {
    const text = new TransferText('Uploading');
    const options = { signal, onProgress: (bytes: number, total: number) => update(text.at(bytes, total)) };
    const action = `s3:PutObject to ${to.bucket}`;
    if (to.start !== null) return await withAwsErrors(action, start(account.s3, archive, to, options));
    if (to.patch !== 'at-once')
      return await withAwsErrors(action, storeArchive(account.s3, archive, { ...to, assemble: null }, options));
    const { withAssembleNow } = await import('./assemble-now.ts');
    const sending = withAssembleNow(account, (assemble) =>
      storeArchive(account.s3, archive, { ...to, assemble }, options),
    );
    return await withAwsErrors(action, sending);
  });
  await archive.keep(sent.patch === null && sent.runId === null ? sent : null);
  return sent;
}

/** `3 of 2,004 files changed, 4.1 KiB of 31.9 MiB sent` */
export function sentLine(packed: Pick<Packed, 'changedFiles' | 'files' | 'archiveBytes'>, sent: Sent): string {
  const files =
    packed.changedFiles === null
      ? ''
      : `${formatCount(packed.changedFiles)} of ${formatCount(packed.files.length)} files changed, `;
  return `${files}${formatSize(sent.sentBytes)} of ${formatSize(packed.archiveBytes)} sent`;
}

type Store = Pick<Context['account'], 's3'>['s3'];

/**
 * Stores an archive where it starts nothing, unless the same is stored already.
 * @param to `assemble` makes archives of patches at once; without it, a run does
 */
export async function storeArchive(
  s3: Store,
  archive: LocalArchive,
  to: Omit<SendTo, 'start'> & { readonly assemble: Pick<AssembleNow, 'assemble'> | null },
  options: UploadOptions = {},
): Promise<Sent> {
  const none = { reused: false, runId: null, sentBytes: 0, patch: null };
  const existing = await findArchive(s3, archive, to, options);
  if (existing) {
    const { expires, ...location } = existing;
    const isShort = expires && !to.expires;
    const kept = isShort ? await keepArchive(s3, location, { project: to.project, sha256: archive.sha256 }) : location;
    return { ...none, ...kept, reused: true };
  }
  const sent = to.patch === 'none' ? null : await sendPatch(s3, archive, to, options);
  if (sent !== null && to.assemble === null) {
    const { bytes, ...patch } = sent;
    return { ...none, ...patch, sentBytes: bytes };
  }
  if (sent !== null && to.assemble !== null) {
    const target = { bucket: sent.bucket, key: sent.key, versionId: null };
    const made = await to.assemble.assemble(archive, target, { ...sent.patch, versionId: null }, options.signal);
    if (made !== null) return { ...none, ...made, sentBytes: sent.bytes };
  }
  const whole = await putArchive(s3, archive, to, options);
  return { ...none, ...whole, sentBytes: archive.bytes + (sent?.bytes ?? 0) };
}

async function start(s3: Store, archive: LocalArchive, to: SendTo, options: UploadOptions): Promise<Sent> {
  const spec = to.start ?? {};
  const upload = await uploadArchive(s3, archive, { bucket: to.bucket, project: to.project, spec }, options);
  return { ...upload, reused: false, sentBytes: archive.bytes, patch: null };
}
