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

/** Files from this size on get a warning: they are uploaded and synced again with every change of the code. */
const BIG_BYTES = 100 * 1024 * 1024;
/** A deployed stack may allow more than the defaults, so exceeding them is only a warning here. */
const NO_CAPS: ArchiveCaps = {
  compressedBytes: Number.POSITIVE_INFINITY,
  expandedBytes: Number.POSITIVE_INFINITY,
  ratio: Number.POSITIVE_INFINITY,
  entries: Number.POSITIVE_INFINITY,
  depth: DEFAULT_CAPS.depth,
  nameBytes: DEFAULT_CAPS.nameBytes,
  headerBytes: DEFAULT_CAPS.headerBytes,
};

/** The code of a project folder. */
export interface Code {
  readonly folder: string;
  readonly listing: Listing;
  readonly git: GitState | null;
  readonly warnings: readonly string[];
}

/** The script that will run, and where its name comes from. */
export interface Script {
  readonly value: string;
  readonly from: string;
}

/** Lists a project folder's files and its commit; writes nothing. @throws PackError when there is nothing to pack */
export async function readCode(folder: string, options: { includeSecrets: boolean }): Promise<Code> {
  const listing = await listFiles(folder, options);
  return {
    folder,
    listing,
    git: await readGit(folder, listing.files),
    warnings: [...listing.warnings, ...sizeWarnings(listing)],
  };
}

/**
 * Chooses the script that a run of this code would start, and checks that the requirements file exists, as the state
 * Verify archive does.
 * @throws CliError with the candidates, or for a requirements file that is missing
 */
export function checkScript({ listing }: Code, spec: SpecInput, from: string): Script {
  const names = withoutTopFolder(listing.files.map(({ name }) => name));
  const script = scriptOf(names, spec.script ?? null);
  const { requirements } = spec;
  if (requirements !== undefined && spec.install !== 'skip' && !names.includes(requirements.replace(/^(\.\/)+/, '')))
    throw usageError(
      `The requirements file ${requirements} is not among the files to upload.`,
      'Correct the key requirements, or check whether an ignore file excludes the file.',
    );
  return { value: script, from: spec.script === undefined ? 'found' : from };
}

function scriptOf(names: readonly string[], script: string | null): string {
  try {
    return chooseScript(names, script).script;
  } catch (error) {
    if (!(error instanceof ScriptNotFound)) throw error;
    const next =
      'Name the script with --script <path> or in runctl.yaml. If it exists, check whether an ignore file excludes it.';
    throw usageError(error.message, next, { cause: error });
  }
}

/**
 * Packs the code into a temporary file, passes it to `use`, and removes it afterwards.
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
    return await use(await verify(file), packed);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Checks the archive as the state Verify archive does, before anything is uploaded. */
async function verify(file: string): Promise<LocalArchive> {
  try {
    const report = await verifyArchive(createReadStream(file), {
      caps: NO_CAPS,
      capture: { names: [], maxBytes: 0 },
    });
    return { file, sha256: report.sha256, bytes: report.bytes };
  } catch (error) {
    if (error instanceof ArchiveError)
      throw usageError(error.message, 'Rename the file, or exclude it with .runctlignore.', { cause: error });
    throw error;
  }
}

export function packWarnings(code: Code, packed: Packed): string[] {
  const unlisted = packed.warnings.filter((warning) => !code.listing.warnings.includes(warning));
  const secrets = packed.secrets.map((name) => leftOut(name, 'likely a secret (--include-secrets packs it)'));
  return [...code.warnings, ...unlisted, ...secrets];
}

function sizeWarnings({ files }: Listing): string[] {
  const big = files.filter(({ bytes }) => bytes >= BIG_BYTES);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return [
    ...big.map(
      (file) =>
        `${file.name} has ${formatSize(file.bytes)}. Keep data in S3 or on the instance, and list it in .runctlignore.`,
    ),
    ...(bytes > DEFAULT_CAPS.expandedBytes || files.length > DEFAULT_CAPS.entries
      ? [
          `${files.length} files with ${formatSize(bytes)} exceed what a run accepts by default (${DEFAULT_CAPS.entries} files, ${formatSize(DEFAULT_CAPS.expandedBytes)}). Exclude data and environments with .runctlignore.`,
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
