import { open } from 'node:fs/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { buildPatch, type MemberSource, type PatchBase } from '../../core/archive/build-patch.ts';
import { memberStarts } from '../../core/archive/members.ts';
import { type ArchiveLocation, patchKey } from '../../core/names.ts';
import { KnownArchives } from './known-archives.ts';
import { DamagedArchive, type PackCache } from './pack-cache.ts';
import { type LocalArchive, ownArchiveKey, putBytes, type UploadOptions } from './upload.ts';

/** An archive in S3 that a patch may be of. */
export type Base = MemberSource & PatchBase;

/** A patch that is not much smaller than the archive is not worth the state that assembles it. */
const PATCH_SHARE_MAX = 0.7;

export interface SentPatch extends ArchiveLocation {
  /** Bytes that were sent. */
  readonly bytes: number;
  /** Where the patch is. The archive does not exist before Assemble archive has made it. */
  readonly patch: ArchiveLocation;
}

/**
 * Uploads what an archive has and the base has not.
 * @param base an earlier archive of the project; null: there is none
 * @returns null without a base, or when the whole archive is hardly larger
 */
export async function sendPatch(
  s3: S3Client,
  archive: LocalArchive,
  base: Base | null,
  to: { readonly bucket: string; readonly project: string },
  options: UploadOptions,
): Promise<SentPatch | null> {
  if (base === null) return null;
  const file = await open(await archive.file());
  try {
    const starts = memberStarts(archive.members);
    const read = async (index: number) => {
      const bytes = Buffer.alloc(archive.members[index]?.bytes ?? 0);
      await file.read(bytes, 0, bytes.length, starts[index]);
      return bytes;
    };
    const next = { ...archive, read };
    const patch = await buildPatch(base, next).catch(async (error: unknown) => {
      if (!(error instanceof DamagedArchive)) throw error;
      return await buildPatch({ ...base, read: null }, next);
    });
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
export async function findBase(
  s3: S3Client,
  cache: PackCache | null,
  to: { readonly bucket: string; readonly project: string },
  { signal }: UploadOptions,
): Promise<Base | null> {
  const known = new KnownArchives(s3, to, signal);
  const found = cache && (await findStored(known, cache, to));
  if (cache && found) {
    const { archive } = cache;
    return { ...archive, ...found, read: (index) => cache.read(index) };
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
