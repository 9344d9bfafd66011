import { type ArchiveStore, createArchiveStore, createIndexStore } from '../aws/archive-store.ts';
import { createCheckpointStore } from '../aws/checkpoint-store.ts';
import { encodeIndex } from '../core/archive/archive-index.ts';
import { isOlder } from '../core/archive/unused.ts';
import { type ArchiveCaps, type ArchiveReport, verifyArchive } from '../core/archive/verify.ts';
import { findResume } from '../core/checkpoints/find-resume.ts';
import type { CheckpointStore } from '../core/checkpoints/store.ts';
import { RunError } from '../core/errors.ts';
import {
  ARCHIVE_DAYS,
  ARCHIVE_PREFIX,
  type ArchiveLocation,
  archiveProject,
  archiveUri,
  indexKey,
  isRunId,
  runKey,
} from '../core/names.ts';
import { believableSent } from '../core/sent.ts';
import {
  deriveProject,
  locateArchive,
  packageText,
  projectFiles,
  readSpecFile,
  readSpecMetadata,
  SPEC_SOURCES,
  withoutInclude,
} from '../core/spec/archive-spec.ts';
import { chooseEntry } from '../core/spec/choose-entry.ts';
import { type DurationLimits, limitDurations } from '../core/spec/duration-limits.ts';
import { defaultRequirements, missingRequirements } from '../core/spec/requirements.ts';
import { secretLookingNames, secretWarning } from '../core/spec/secrets.ts';
import { InvalidSpec, parseSpec, type RunSpec, resolveSpec } from '../core/spec/spec.ts';
import type { RunProgram, VerifyInput, VerifyOutput } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';
import { createDocumentVersions } from './adapters/program.ts';

interface Ports {
  readonly archives: ArchiveStore;
  readonly caps: ArchiveCaps;
  readonly checkpoints: Pick<CheckpointStore, 'head' | 'list' | 'read'>;
  readonly durationLimits: DurationLimits;
  /** Writes the index of an archive, and that a run uses one. */
  readonly indexes: {
    put(bucket: string, key: string, index: Buffer, of: ArchiveLocation): Promise<void>;
    noteUse(bucket: string, archiveKey: string): Promise<void>;
  };
  /** Epoch milliseconds. Default: the clock. */
  readonly now?: () => number;
  readonly program: Omit<RunProgram, 'documentVersion'>;
  /** The number of the document's version that runs a program. */
  readonly documentVersion: (sha256: string) => Promise<string>;
  readonly uploadBucket: string;
}

/** Checks the spec, pins the object's version, and reads the archive once: nothing has touched an instance yet. */
export function createVerify({
  archives,
  caps,
  checkpoints,
  durationLimits,
  indexes,
  program,
  documentVersion,
  uploadBucket,
  now = Date.now,
}: Ports) {
  return async ({ execution, input, assembled }: VerifyInput): Promise<VerifyOutput> => {
    if (!isRunId(execution.name))
      throw new InvalidSpec(
        `the name of the execution, ${JSON.stringify(execution.name)}, must begin with a letter or digit and have only A-Z a-z 0-9 . _ -`,
      );
    const source = "the execution's input";
    const asked = withoutInclude(parseSpec(input, source), source);
    const named = locateArchive(asked, uploadBucket);
    // Exactly the version that Assemble archive wrote.
    const location = assembled ? { ...named, versionId: assembled.versionId } : named;
    const object = await archives.open(location);
    await refuseExpired(archives, { ...location, versionId: object.versionId }, object.modifiedAt, now());
    const fromMetadata = readSpecMetadata(object.metadata);
    const report = await verifyArchive(object.body, {
      caps,
      capture: SPEC_SOURCES,
    });
    for (const { sha256 } of [asked, fromMetadata]) {
      if (sha256 === undefined || sha256 === report.sha256) continue;
      throw new RunError(
        'ArchiveChanged',
        `${archiveUri(location)} has the SHA-256 ${report.sha256}, and the run was started for ${sha256}.`,
      );
    }
    const sources = [readSpecFile(report), fromMetadata, asked];
    const indexed = await writeIndex(indexes, { ...location, versionId: object.versionId }, report);
    await noteUse(indexes, location);
    const spec = limitDurations(resolveSpec(...sources), durationLimits, ...sources);
    const files = projectFiles(report);
    const chosen = chooseEntry(files, spec);
    const project = spec.project ?? deriveProject(location, report);
    logger.info('verified', { bytes: report.bytes, files: report.files.length, sha256: report.sha256 });
    const run = { id: execution.name, arn: execution.arn, startedAt: execution.startedAt };
    const { resume: from = 'auto' } = spec;
    const isResumed = from !== 'auto' && from !== 'never';
    const resume = isResumed ? await findResume(checkpoints, project, from) : null;
    return {
      run: {
        ...run,
        key: runKey(run),
        program: { ...program, documentVersion: await documentVersion(program.sha256) },
        ...(resume === null ? {} : { resume }),
      },
      spec: { ...spec, project, script: chosen.script, instance: spec.instance ?? `tag:Project=${project}` },
      archive: {
        bucket: location.bucket,
        key: location.key,
        versionId: object.versionId,
        sha256: report.sha256,
        bytes: report.bytes,
        files: report.files.length,
        expandedBytes: report.expandedBytes,
        strip: report.topFolder,
        requirements: chooseRequirements(files, spec, packageText(report)),
        gitCommit: report.git?.commit ?? null,
        gitDirty: report.git?.dirty ?? null,
        patchBytes: assembled?.patchBytes ?? null,
        sent: believableSent(asked.sent ?? fromMetadata.sent, {
          bytes: report.bytes,
          files: report.files.length,
          patchBytes: assembled?.patchBytes ?? null,
        }),
        indexed,
      },
      warnings: [
        ...secretLookingNames(spec.env).map(secretWarning),
        ...(isResumed && resume === null ? ['No run of the project has saved a checkpoint yet: it begins anew.'] : []),
      ],
    };
  };
}

/**
 * Lets later runs be sent as a patch of this archive, and the instance fetch only what it lacks. A run does not need it.
 * @returns whether there is an index
 */
async function writeIndex(
  indexes: Ports['indexes'],
  { bucket, key, versionId }: ArchiveLocation,
  { sha256, bytes, members }: ArchiveReport,
): Promise<boolean> {
  const project = archiveProject(key);
  if (project === null || members.length < 2) return false;
  try {
    const index = encodeIndex({ key, versionId, sha256, bytes, members });
    await indexes.put(bucket, indexKey(project, sha256), index, { bucket, key, versionId });
    return true;
  } catch (error) {
    logger.warn('the index was not written', { error: error instanceof Error ? error.message : String(error) });
    return false;
  }
}

/** Keeps the archive from expiring. The run does not depend on it: its version is there until it has synced. */
async function noteUse(indexes: Ports['indexes'], { bucket, key }: ArchiveLocation): Promise<void> {
  if (!key.startsWith(ARCHIVE_PREFIX)) return;
  try {
    await indexes.noteUse(bucket, key);
  } catch (error) {
    logger.warn('the use was not noted', { error: error instanceof Error ? error.message : String(error) });
  }
}

/**
 * Refuses an old archive that was deleted: its version is there for VERSION_DAYS after that, which a run may spend in the queue.
 * @throws RunError ArchiveNotFound
 */
async function refuseExpired(
  archives: Pick<ArchiveStore, 'currentVersion'>,
  location: ArchiveLocation,
  modifiedAt: number | null,
  now: number,
): Promise<void> {
  if (!location.key.startsWith(ARCHIVE_PREFIX) || modifiedAt === null) return;
  if (isOlder({ modifiedAt }, ARCHIVE_DAYS, now)) await archives.currentVersion({ ...location, versionId: null });
}

/** The requirements file of the archive, or null when there is nothing to install. */
function chooseRequirements(files: readonly string[], spec: RunSpec, pyproject: string | null): string | null {
  if (spec.install === 'skip') return null;
  if (spec.requirements === null) return defaultRequirements(files, pyproject, spec.installer)?.value ?? null;
  const missing = missingRequirements(spec.requirements, files);
  if (missing !== null) throw new InvalidSpec(`requirements: there is no ${missing} in the archive`);
  return spec.requirements;
}

export const handler = entry(
  (input: VerifyInput) => input.execution.name,
  () => {
    const caps = JSON.parse(requireEnv('archiveCaps')) as ArchiveCaps;
    return createVerify({
      archives: createArchiveStore(),
      indexes: createIndexStore(),
      caps,
      checkpoints: createCheckpointStore(requireEnv('uploadBucket')),
      durationLimits: JSON.parse(requireEnv('durationLimits')) as DurationLimits,
      program: JSON.parse(requireEnv('program')) as Ports['program'],
      documentVersion: createDocumentVersions(),
      uploadBucket: requireEnv('uploadBucket'),
    });
  },
);
