import { type ArchiveStore, createArchiveStore } from '../aws/archive-store.ts';
import { createImages } from '../aws/images.ts';
import { type ArchiveCaps, verifyArchive } from '../core/archive/verify.ts';
import type { Bake, PrepareInput } from '../core/images/data.ts';
import { parseBakeInput } from '../core/images/input.ts';
import { isReadByInstall } from '../core/images/key.ts';
import { MAX_BAKE_NAME } from '../core/images/names.ts';
import { type PreparePorts, prepareBake } from '../core/images/prepare.ts';
import { isRunId } from '../core/names.ts';
import { locateArchive, SPEC_SOURCES } from '../core/spec/archive-spec.ts';
import { InvalidSpec } from '../core/spec/spec.ts';
import type { RunProgram } from '../core/workflow/data.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';
import { createDocumentVersions } from './adapters/program.ts';

interface Ports extends PreparePorts {
  readonly archives: Pick<ArchiveStore, 'open'>;
  readonly caps: ArchiveCaps;
  readonly program: Omit<RunProgram, 'documentVersion'>;
  readonly documentVersion: (sha256: string) => Promise<string>;
  readonly uploadBucket: string;
}

/** Reads the archive for what an install depends on, and finds the image that is built upon. */
export function createPrepare({ archives, caps, program, documentVersion, uploadBucket, ...ports }: Ports) {
  return async ({ execution: { name }, input: given }: PrepareInput): Promise<Bake> => {
    if (!isRunId(name) || name.length > MAX_BAKE_NAME) {
      throw new InvalidSpec(
        `the name of the execution, ${JSON.stringify(name)}, must begin with a letter or digit and have at most ${MAX_BAKE_NAME} of A-Z a-z 0-9 . _ -`,
      );
    }
    const input = parseBakeInput(given);
    const named = locateArchive(input.spec, uploadBucket);
    const object = await archives.open(named);
    const location = { ...named, versionId: object.versionId };
    const report = await verifyArchive(object.body, {
      caps,
      capture: SPEC_SOURCES,
      digest: isReadByInstall,
    });
    const pinned = { ...program, documentVersion: await documentVersion(program.sha256) };
    const bake = await prepareBake(ports, { name, input, location, report, program: pinned });
    logger.info(bake.exists ? 'the image exists already' : 'an image is needed', { key: bake.key, image: bake.image });
    return bake;
  };
}

export const handler = entry(
  (input: PrepareInput) => input.execution.name,
  () =>
    createPrepare({
      archives: createArchiveStore(),
      images: createImages(),
      caps: JSON.parse(requireEnv('archiveCaps')) as ArchiveCaps,
      program: JSON.parse(requireEnv('program')) as Ports['program'],
      documentVersion: createDocumentVersions(),
      uploadBucket: requireEnv('uploadBucket'),
    }),
);
