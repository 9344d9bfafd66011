import { randomBytes } from 'node:crypto';
import { HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { errorName, withAwsErrors } from '../../aws/errors.ts';
import { type ArchiveLocation, archiveUri, parseArchiveUri } from '../../core/names.ts';
import { SPEC_FILE, withoutInclude } from '../../core/spec/archive-spec.ts';
import { mergeSpecs, type SpecInput } from '../../core/spec/spec.ts';
import { formatSize } from '../../core/units.ts';
import { checkIncludes } from '../archive/check-includes.ts';
import { checkScript, entryFrom, findRequirements, packWarnings, readCode, withArchive } from '../archive/code.ts';
import { expires, isOld, type StoredArchive } from '../archive/known-archives.ts';
import { send, sentLine } from '../archive/send-archive.ts';
import { copyArchive } from '../archive/upload.ts';
import type { Context } from '../context.ts';
import { usageError } from '../errors.ts';
import type { Project } from '../project/project.ts';

/** The code of a schedule's runs. */
export interface ScheduledCode {
  /** In words. */
  readonly description: string;
  /** Uploads it, unless it is in the bucket already. */
  upload(): Promise<PlacedCode>;
}

/** Where the runs of a schedule find their code; `sha256` where it is known: then no other bytes are run. */
export interface PlacedCode extends ArchiveLocation {
  readonly sha256?: string;
}

/** Passes the code to `use`: the archive that the flags name, with its version, or the current folder, packed. */
export async function withScheduledCode<T>(
  context: Context,
  {
    project,
    flags,
    includeSecrets,
    full,
  }: { project: Project; flags: SpecInput; includeSecrets: boolean; full: boolean },
  use: (code: ScheduledCode) => Promise<T>,
): Promise<T> {
  const { account, terminal, signal, folder } = context;
  const bucket = await account.output('bucket');
  if (flags.archive !== undefined) {
    withoutInclude(flags, 'the options');
    const pinned = await pinArchive(account.s3, flags.archive, bucket);
    const digest = flags.sha256 === undefined ? {} : { sha256: flags.sha256 };
    const upload = async () => ({
      ...(await keepPinned(account.s3, pinned, project.name.value, flags.sha256)),
      ...digest,
    });
    return await use({ description: archiveUri(pinned), upload });
  }
  const spec = mergeSpecs(project.file, flags);
  const code = await readCode(folder, { includeSecrets, spec }, terminal);
  checkScript(code, spec, entryFrom(flags));
  const names = code.listing.files.map((file) => file.name);
  const requirements = await findRequirements(folder, names, spec, SPEC_FILE);
  await checkIncludes(code, requirements?.value ?? null, spec);
  return await withArchive(code, { includeSecrets, signal }, async (archive, packed) => {
    for (const warning of packWarnings(packed)) terminal.warn(warning);
    return await use({
      description: `this folder: ${packed.files.length} files, ${formatSize(packed.bytes)}`,
      upload: async () => {
        const to = { bucket, project: project.name.value, start: null, expires: false };
        const sent = await send(context, archive, { ...to, patch: full ? 'none' : 'at-once' });
        terminal.note(sentLine(packed, sent));
        return { ...sent, sha256: archive.sha256 };
      },
    });
  });
}

/** What could expire, or be replaced, is copied, so that it is there as long as the schedule. */
export async function keepPinned(
  s3: Pick<S3Client, 'send'>,
  pinned: StoredArchive,
  project: string,
  sha256 = randomBytes(32).toString('hex'),
): Promise<ArchiveLocation> {
  const { bucket, key, versionId } = pinned;
  if (isKept(key) && !pinned.expires && !pinned.isOld) return { bucket, key, versionId };
  const copy = copyArchive(s3, pinned, { project, sha256, expires: false });
  return await withAwsErrors(`s3:PutObject to ${bucket}`, copy);
}

/** Whether runctl wrote the object: nobody replaces it, so that its version does not expire as a replaced one does. */
function isKept(key: string): boolean {
  return /^archives\/[^/]+\/[0-9a-f]{16}\.tar\.gz$/.test(key);
}

/** Finds the archive's current version, which all runs of the schedule will use. @throws CliError */
export async function pinArchive(s3: Pick<S3Client, 'send'>, uri: string, bucket: string): Promise<StoredArchive> {
  const location = parseArchiveUri(uri);
  if (location === null) throw usageError(`${uri} is not the address of an archive.`, 'Write it as s3://bucket/key.');
  if (location.bucket !== bucket)
    throw usageError(
      `${uri} is in another bucket, and runs read archives only from ${bucket}.`,
      `Copy it: aws s3 cp ${uri} s3://${bucket}/archives/`,
    );
  const { key, versionId } = location;
  const version = versionId === null ? {} : { VersionId: versionId };
  try {
    const head = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key, ...version }));
    return { bucket, key, versionId: head.VersionId ?? null, expires: expires(head), isOld: isOld(head) };
  } catch (error) {
    if (['NotFound', 'NoSuchKey'].includes(errorName(error)))
      throw usageError(`${uri} does not exist.`, 'Upload the archive: runctl push');
    return await withAwsErrors(`s3:GetObject of ${uri}`, Promise.reject(error));
  }
}
