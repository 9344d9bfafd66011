import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseScript, ScriptNotFound } from '../../core/archive/choose-script.ts';
import type { GitState } from '../../core/archive/git-state.ts';
import { type ArchiveCaps, ArchiveError, DEFAULT_CAPS, verifyArchive } from '../../core/archive/verify.ts';
import { projectFiles } from '../../core/spec/archive-spec.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { formatSize } from '../../core/units.ts';
import { usageError } from '../errors.ts';
import { readGit } from './git.ts';
import { type Packed, packFiles } from './pack.ts';
import { type Listing, leftOut, listFiles } from './pack-list.ts';
import type { LocalArchive } from './upload.ts';

/** Data of this size is uploaded and synced again with every change of the code. */
const BIG_BYTES = 100 * 1024 * 1024;
/** A deployed stack may allow more than the defaults: here they only warn. */
const NO_CAPS: ArchiveCaps = {
  compressedBytes: Number.POSITIVE_INFINITY,
  expandedBytes: Number.POSITIVE_INFINITY,
  ratio: Number.POSITIVE_INFINITY,
  entries: Number.POSITIVE_INFINITY,
  depth: DEFAULT_CAPS.depth,
  nameBytes: DEFAULT_CAPS.nameBytes,
  headerBytes: DEFAULT_CAPS.headerBytes,
};

/** The code of a project folder, as it was found. */
export interface Code {
  readonly folder: string;
  readonly listing: Listing;
  readonly git: GitState | null;
  readonly warnings: readonly string[];
}

/** What will run, and whether somebody said so. */
export interface Script {
  readonly value: string;
  readonly from: string;
}

/** Looks at a project folder: nothing is written. @throws PackError when there is nothing to pack */
export async function lookAtCode(folder: string, options: { includeSecrets: boolean }): Promise<Code> {
  const listing = await listFiles(folder, options);
  return {
    folder,
    listing,
    git: await readGit(folder, listing.files),
    warnings: [...listing.warnings, ...sizeWarnings(listing)],
  };
}

/**
 * The script that a run of this code would start, and that what its spec names is there: as Verify archive does it.
 * @throws CliError with the candidates; for a requirements file that is not there too
 */
export function checkScript({ listing }: Code, spec: SpecInput, from: string): Script {
  const names = withoutTopFolder(listing.files.map(({ name }) => name));
  const script = scriptOf(names, spec.script ?? null);
  const { requirements } = spec;
  if (requirements !== undefined && spec.install !== 'skip' && !names.includes(requirements.replace(/^(\.\/)+/, '')))
    throw usageError(
      `There is no ${requirements} among the files to upload.`,
      'Correct the key requirements; an ignore file may leave it out.',
    );
  return { value: script, from: spec.script === undefined ? 'found' : from };
}

function scriptOf(names: readonly string[], wanted: string | null): string {
  try {
    return chooseScript(names, wanted).script;
  } catch (error) {
    if (!(error instanceof ScriptNotFound)) throw error;
    const next =
      'Give --script <path>, or keep it in runctl.yaml: runctl init writes one. An ignore file may leave it out.';
    throw usageError(error.message, next, { cause: error });
  }
}

/**
 * Packs it into a file of its own, and hands that to `use`; afterwards the file is gone.
 * @throws PackError; CliError when Verify archive would refuse it
 */
export async function withArchive<T>(
  code: Code,
  options: { includeSecrets: boolean; signal: AbortSignal },
  use: (archive: LocalArchive, packed: Packed) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'runctl-'));
  try {
    const file = join(folder, 'code.tar.gz');
    const packed = await packFiles(code.folder, code.listing, file, { ...options, git: code.git });
    return await use(await judge(file), packed);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What the state Verify archive would say, said before anything is uploaded. */
async function judge(file: string): Promise<LocalArchive> {
  try {
    const report = await verifyArchive(createReadStream(file), {
      caps: NO_CAPS,
      capture: { names: [], maxBytes: 0 },
    });
    return { file, sha256: report.sha256, bytes: report.bytes };
  } catch (error) {
    if (error instanceof ArchiveError)
      throw usageError(error.message, 'Rename or leave out what it names.', { cause: error });
    throw error;
  }
}

export function packWarnings(code: Code, packed: Packed): string[] {
  const unlisted = packed.warnings.filter((warning) => !code.listing.warnings.includes(warning));
  const secrets = packed.secrets.map((name) => leftOut(name, 'likely a secret'));
  return [...code.warnings, ...unlisted, ...secrets];
}

function sizeWarnings({ files }: Listing): string[] {
  const big = files.filter(({ bytes }) => bytes >= BIG_BYTES);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return [
    ...big.map(
      (file) =>
        `${file.name} has ${formatSize(file.bytes)}: data is better kept in S3 or on the instance, and named in .runctlignore.`,
    ),
    ...(bytes > DEFAULT_CAPS.expandedBytes || files.length > DEFAULT_CAPS.entries
      ? [
          `${files.length} files with ${formatSize(bytes)} are more than a run takes by default (${DEFAULT_CAPS.entries} files, ${formatSize(DEFAULT_CAPS.expandedBytes)}): leave data and environments out by .runctlignore.`,
        ]
      : []),
  ];
}

/** The instance strips a single top folder. */
function withoutTopFolder(names: readonly string[]): string[] {
  const tops = new Set(names.map((name) => name.slice(0, name.indexOf('/') + 1)));
  const [topFolder = ''] = tops.size === 1 ? tops : [];
  const files = names.map((name) => ({ name, size: 0 }));
  return projectFiles({ files, topFolder: topFolder === '' ? null : topFolder.slice(0, -1) });
}
