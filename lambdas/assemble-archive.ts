import { type AssemblyStore, createAssemblyStore } from '../aws/assembly-store.ts';
import { lengthOf, planParts, segmentsOf } from '../core/archive/assemble.ts';
import type { ArchiveCaps } from '../core/archive/caps.ts';
import { decodePatch, InvalidPatch, type Patch } from '../core/archive/patch.ts';
import { printable } from '../core/archive/printable.ts';
import { RunError } from '../core/errors.ts';
import {
  ARCHIVE_PREFIX,
  ARCHIVE_SUFFIX,
  type ArchiveLocation,
  archiveProject,
  archiveUri,
  parseArchiveUri,
  patchKey,
} from '../core/names.ts';
import { InvalidSpec, parseSpec } from '../core/spec/spec.ts';
import type { AssembledArchive, AssembleInput } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';

/** A patch is held in memory, and so is what it makes. */
const PATCH_BYTES_MAX = 128 * 1024 * 1024;

interface Ports {
  readonly store: AssemblyStore;
  readonly caps: ArchiveCaps;
  readonly uploadBucket: string;
}

/**
 * Makes the archive of a run from an earlier archive and a patch. Whoever may upload may write a patch: it is checked as one that
 * an attacker wrote. What it makes is an archive like any other, which Verify archive reads next and compares with `sha256`.
 */
export function createAssemble({ store, caps, uploadBucket }: Ports) {
  return async ({ input, keep = false }: AssembleInput): Promise<AssembledArchive> => {
    const { target, project, patch: location, sha256 } = readInput(input, uploadBucket);
    const stored = await store.find(location);
    if (stored === null) throw new RunError('PatchUnusable', `There is no ${archiveUri(location)}.`);
    if (stored.bytes > PATCH_BYTES_MAX)
      throw new RunError('PatchUnusable', `The patch has ${stored.bytes} bytes; ${PATCH_BYTES_MAX} are allowed.`);
    const patch = await readPatch(store, { ...location, versionId: stored.versionId }, stored.bytes, caps);
    if (patch.header.sha256 !== sha256)
      throw new RunError(
        'PatchUnusable',
        `The patch makes ${patch.header.sha256}, and the run was started for ${sha256}.`,
      );
    const base = baseOf(patch, target.bucket, project);
    const kept = patch.header.parts.reduce((sum, part) => sum + (part[0] === 'keep' ? part[2] - part[1] : 0), 0);
    const result = { bytes: patch.header.bytes, keptBytes: kept, patchBytes: stored.bytes };
    // An earlier attempt of this state has written it. Verify archive reads it in any case.
    const existing = await store.find(target);
    if (existing !== null) return { ...result, versionId: existing.versionId };
    const segments = await unusable(segmentsOf(patch, (start, end) => store.read(base, start, end)));
    const versionId = await store.write(target, base, planParts(segments), { expires: !keep });
    const sent = segments.reduce((sum, segment) => sum + ('bytes' in segment ? lengthOf(segment) : 0), 0);
    logger.info('assembled', { ...result, newBytes: sent });
    return { ...result, versionId };
  };
}

/** @throws InvalidSpec */
function readInput(
  input: unknown,
  uploadBucket: string,
): { target: ArchiveLocation; project: string; patch: ArchiveLocation; sha256: string } {
  const source = "the execution's input";
  const { archive = '', patch = '', sha256 } = parseSpec(input, source);
  const [target, location] = [parseArchiveUri(archive), parseArchiveUri(patch)];
  if (target === null || location === null || sha256 === undefined)
    throw new InvalidSpec(`${source}: a patch needs archive and sha256`);
  if (target.bucket !== uploadBucket || location.bucket !== uploadBucket)
    throw new InvalidSpec(`${source}: archive and patch are in runctl's own bucket, ${uploadBucket}`);
  const project = archiveProject(target.key);
  if (project === null || !target.key.endsWith(ARCHIVE_SUFFIX) || target.versionId !== null)
    throw new InvalidSpec(
      `${source}: with a patch, archive is s3://${uploadBucket}/${ARCHIVE_PREFIX}<project>/<name>${ARCHIVE_SUFFIX} without a version`,
    );
  if (location.key !== patchKey(project, sha256))
    throw new InvalidSpec(`${source}: the patch of this archive is ${patchKey(project, sha256)}`);
  return { target, project, patch: location, sha256 };
}

async function readPatch(
  store: AssemblyStore,
  location: ArchiveLocation,
  bytes: number,
  caps: ArchiveCaps,
): Promise<Patch> {
  const content = await store.read(location, 0, bytes);
  return await unusable(Promise.resolve().then(() => decodePatch(content, { archiveBytes: caps.compressedBytes })));
}

/** The base is an archive of the same project, at a version that cannot be replaced. */
function baseOf({ header }: Patch, bucket: string, project: string): ArchiveLocation {
  const { key, versionId } = header.base;
  if (archiveProject(key) !== project || versionId === null)
    throw new RunError(
      'PatchUnusable',
      `The patch is based on ${printable(key)}, which is not a version of an archive of the project ${project}.`,
    );
  return { bucket, key, versionId };
}

async function unusable<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    if (!(error instanceof InvalidPatch)) throw error;
    throw new RunError('PatchUnusable', `The patch cannot be used: ${error.message}.`);
  }
}

export const handler = entry(
  (input: AssembleInput) => input.execution.name,
  () =>
    createAssemble({
      store: createAssemblyStore(),
      caps: JSON.parse(requireEnv('archiveCaps')) as ArchiveCaps,
      uploadBucket: requireEnv('uploadBucket'),
    }),
);
