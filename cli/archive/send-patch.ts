import { open } from 'node:fs/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { buildPatch, type MemberSource, type PatchBase } from '../../core/archive/build-patch.ts';
import { memberStarts } from '../../core/archive/members.ts';
import { type ArchiveLocation, patchKey } from '../../core/names.ts';
import { KnownArchives } from './known-archives.ts';
import type { PackCache } from './pack-cache.ts';
import { type LocalArchive, ownArchiveKey, putBytes, type UploadOptions } from './upload.ts';

/** A patch that is not much smaller than the archive is not worth the state that assembles it. */
const PATCH_SHARE_MAX = 0.7;

export interface SentPatch extends ArchiveLocation {
  /** Bytes that were sent. */
  readonly bytes: number;
  /** Where the patch is. The archive does not exist before Assemble archive has made it. */
  readonly patch: ArchiveLocation;
}

/**
 * Uploads what an archive has and an earlier one of the project has not.
 * @returns null when there is no earlier one, or the whole archive is hardly larger
 */
export async function sendPatch(
  s3: S3Client,
  archive: LocalArchive,
  to: { readonly bucket: string; readonly project: string },
  options: UploadOptions,
): Promise<SentPatch | null> {
  const file = await open(archive.file);
  try {
    const base = await findBase(new KnownArchives(s3, to, options.signal), archive.previous, to);
    if (base === null) return null;
    const starts = memberStarts(archive.members);
    const read = async (index: number) => {
      const bytes = Buffer.alloc(archive.members[index]?.bytes ?? 0);
      await file.read(bytes, 0, bytes.length, starts[index]);
      return bytes;
    };
    const patch = await buildPatch(base, { ...archive, read });
    if (patch.length > archive.bytes * PATCH_SHARE_MAX) return null;
    const patchTo = { bucket: to.bucket, key: patchKey(to.project, archive.sha256) };
    const versionId = await putBytes(s3, patch, { ...patchTo, bytes: patch.length }, options);
    return {
      bucket: to.bucket,
      // Who made an archive at the digest's name is not known.
      key: ownArchiveKey(to.project, archive.sha256),
      versionId: null,
      bytes: patch.length,
      patch: { ...patchTo, versionId },
    };
  } finally {
    await file.close();
  }
}

/** The archive that was packed here last, whose content is at hand; else the last one of anybody. */
async function findBase(
  known: KnownArchives,
  cache: PackCache | null,
  to: { readonly bucket: string; readonly project: string },
): Promise<(MemberSource & PatchBase) | null> {
  const found = cache && (await findStored(known, cache, to));
  if (cache && found) {
    const { archive } = cache;
    return { ...archive, ...found, read: (index) => Promise.resolve(cache.member(index).bytes) };
  }
  const latest = await known.latest();
  return latest === null ? null : { ...latest, read: null };
}

/** Where the archive of the cache is stored: as the cache says, or a function that verified it. */
async function findStored(
  known: KnownArchives,
  cache: PackCache,
  to: { readonly bucket: string; readonly project: string },
): Promise<ArchiveLocation | null> {
  const { sha256, bytes } = cache.archive;
  const stored = cache.storedIn(to);
  return (stored && (await known.check(stored, bytes))) ?? (await known.find(sha256, bytes));
}
