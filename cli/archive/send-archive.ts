import { withAwsErrors } from '../../aws/errors.ts';
import type { ArchiveLocation } from '../../core/names.ts';
import { sentText } from '../../core/sent.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import type { Context } from '../context.ts';
import { TransferText } from '../terminal/transfer-text.ts';
import type { AssembleNow } from './assemble-now.ts';
import { findArchive, mayReuse } from './find-archive.ts';
import type { Packed } from './pack.ts';
import { findBase, sendPatch } from './send-patch.ts';
import {
  copyArchive,
  copyUpload,
  type LocalArchive,
  putArchive,
  specMetadata,
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
  /** Where the archive is whole and may be the base of patches; null: nowhere yet, or below uploads/. */
  readonly stored: ArchiveLocation | null;
}

export interface SendTo {
  readonly bucket: string;
  readonly project: string;
  /** The spec of the run that the upload starts, and what its manifest will say; null when it starts none. */
  readonly start: { readonly spec: SpecInput; readonly changedFiles: number | null } | null;
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
    const { start } = to;
    const store = (assemble: StoreTo['assemble']) =>
      start === null
        ? storeArchive(account.s3, archive, { ...to, assemble }, options)
        : startUpload(account.s3, archive, { ...to, assemble, start }, options);
    if (to.patch !== 'at-once') return await withAwsErrors(action, store(null));
    const { withAssembleNow } = await import('./assemble-now.ts');
    return await withAwsErrors(action, withAssembleNow(account, store));
  });
  await archive.keep(sent.stored);
  return sent;
}

/** What was sent, as the command and the manifest say it. */
export function sentLine(
  { changedFiles, files, archiveBytes }: Pick<Packed, 'changedFiles' | 'files' | 'archiveBytes'>,
  { sentBytes }: Sent,
): string {
  return sentText({ bytes: sentBytes, changedFiles }, { bytes: archiveBytes, files: files.length });
}

type Store = Pick<Context['account'], 's3'>['s3'];

/** `assemble` makes archives of patches at once; without it, a run does. */
type StoreTo = Omit<SendTo, 'start'> & { readonly assemble: Pick<AssembleNow, 'assemble'> | null };

const NOTHING_SENT = { reused: false, runId: null, sentBytes: 0, patch: null };

/** Stores an archive where it starts nothing, unless the same is stored already. */
export async function storeArchive(
  s3: Store,
  archive: LocalArchive,
  to: StoreTo,
  options: UploadOptions = {},
): Promise<Sent> {
  const { found, wasted } = await withoutUpload(s3, archive, to, options);
  return found ?? (await storeWhole(s3, archive, to, wasted, options));
}

/** @param wasted bytes that were sent in vain */
async function storeWhole(
  s3: Store,
  archive: LocalArchive,
  to: StoreTo,
  wasted: number,
  options: UploadOptions,
): Promise<Sent> {
  const stored = await putArchive(s3, archive, to, options);
  return { ...NOTHING_SENT, ...stored, stored, sentBytes: archive.bytes + wasted };
}

/** Finds the archive, or sends a patch of an earlier one. @returns `found`: null when the archive itself has to be sent */
async function withoutUpload(
  s3: Store,
  archive: LocalArchive,
  to: StoreTo,
  options: UploadOptions,
): Promise<{ found: Sent | null; wasted: number }> {
  // What has been edited needs a base. It is asked for beside the archive: an answer takes as long as its way.
  const { previous, sha256 } = archive;
  const isEdited = to.patch !== 'none' && previous !== null && previous.archive.sha256 !== sha256;
  const [existing, base] = await Promise.all([
    findArchive(s3, archive, to, options),
    isEdited ? findBase(s3, previous, to, options) : null,
  ]);
  if (existing) {
    const { bucket, key, versionId } = existing;
    const location = { bucket, key, versionId };
    const isShort = existing.isOld || (existing.expires && !to.expires);
    const kept = isShort ? await copyArchive(s3, location, { ...to, sha256 }) : location;
    return { found: { ...NOTHING_SENT, ...kept, stored: kept, reused: true }, wasted: 0 };
  }
  if (to.patch === 'none') return { found: null, wasted: 0 };
  const found = isEdited ? base : await findBase(s3, previous, to, options);
  const sent = await sendPatch(s3, archive, found, to, options);
  if (sent === null) return { found: null, wasted: 0 };
  const { bytes, ...patched } = sent;
  if (to.assemble === null)
    return { found: { ...NOTHING_SENT, ...patched, stored: null, sentBytes: bytes }, wasted: 0 };
  const target = { bucket: sent.bucket, key: sent.key, versionId: null };
  const patch = { ...sent.patch, versionId: null };
  const made = await to.assemble.assemble(archive, target, patch, { expires: to.expires, signal: options.signal });
  if (made === null) return { found: null, wasted: bytes };
  return { found: { ...NOTHING_SENT, ...made, stored: made, sentBytes: bytes }, wasted: 0 };
}

/**
 * Stores an archive so that it starts a run: first where it starts nothing, which takes what an earlier archive has not, then
 * by a copy within S3. Who may only upload, and with `patch: 'none'`, the archive itself is uploaded.
 */
export async function startUpload(
  s3: Store,
  archive: LocalArchive,
  to: StoreTo & { readonly start: NonNullable<SendTo['start']> },
  options: UploadOptions = {},
): Promise<Sent> {
  const { changedFiles, spec } = to.start;
  const where = (bytes: number) => ({
    bucket: to.bucket,
    project: to.project,
    spec: { ...spec, sha256: archive.sha256, sent: { bytes, changedFiles } },
  });
  specMetadata(where(0).spec); // throws before anything is sent
  if (to.patch === 'none' || !(await mayReuse(s3, archive, to, options))) {
    const upload = await uploadArchive(s3, archive, where(archive.bytes), options);
    return { ...NOTHING_SENT, ...upload, stored: null, sentBytes: archive.bytes };
  }
  const sent = await storeArchive(s3, archive, to, options);
  const upload = await copyUpload(s3, archive, sent, where(sent.sentBytes));
  return { ...sent, ...upload, stored: { bucket: sent.bucket, key: sent.key, versionId: sent.versionId } };
}
