import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseScript, ScriptNotFound } from '../../core/archive/choose-script.ts';
import { type ArchiveCaps, ArchiveError, DEFAULT_CAPS, verifyArchive } from '../../core/archive/verify.ts';
import { projectFiles } from '../../core/spec/archive-spec.ts';
import { outputMatcher } from '../../core/spec/output-globs.ts';
import { outputPatterns, type SpecInput } from '../../core/spec/spec.ts';
import { usageError } from '../errors.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { addIncluded } from './include.ts';
import { type Packed, packFiles } from './pack.ts';
import { type Listing, listFiles } from './pack-list.ts';
import { ScanCounter } from './scan.ts';
import type { LocalArchive } from './upload.ts';
import { leftOut } from './walk.ts';
import { sizeWarnings, trackerWarnings } from './warnings.ts';

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
}

/** The script that will run, and where its name comes from. */
export interface Script {
  readonly value: string;
  readonly from: string;
}

/**
 * Lists a project folder's files and its commit, shows the counts meanwhile, and what there is to know before packing;
 * writes nothing.
 * @throws PackError when there is nothing to pack
 */
export async function readCode(
  folder: string,
  { includeSecrets, spec = {} }: { includeSecrets: boolean; spec?: Pick<SpecInput, 'outputs' | 'include'> },
  terminal?: Pick<Terminal, 'working' | 'warn' | 'note'>,
): Promise<Code> {
  const list = async (update: (text: string) => void) => {
    const scan = new ScanCounter(folder, { onProgress: (found) => update(`Scanning the folder: ${found}`) });
    const options = { includeSecrets, isOutput: outputMatcher(outputPatterns(spec)), scan };
    return await addIncluded(folder, await listFiles(folder, options), spec.include ?? [], options);
  };
  const listing = await (terminal ? terminal.working('Scanning the folder', list) : list(() => undefined));
  const warnings = [...sizeWarnings(listing.files), ...trackerWarnings(listing.files)];
  for (const note of listing.notes) terminal?.note(note);
  for (const warning of warnings) terminal?.warn(warning);
  return { folder, listing };
}

/**
 * Chooses the script that a run of this code would start, and checks that the requirements file exists, as the state
 * Verify archive does.
 * @throws CliError with the candidates, or for a requirements file that is missing
 */
export function checkScript({ listing }: Code, spec: SpecInput, from: string): Script {
  const names = withoutTopFolder(listing.files.map(({ name }) => name));
  const wanted = spec.script ?? null;
  if (wanted !== null && listing.outputs.includes(wanted.replace(/^(\.\/)+/, '')))
    throw usageError(
      `The script ${wanted} is not among the files to upload.`,
      'It matches the key outputs, whose files are results of a run. Move the script, or correct the key.',
    );
  const script = scriptOf(names, wanted);
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
    const packed = await packFiles(code.folder, code.listing, file, options);
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

/** The keys of a spec that a run takes: the others are about packing. */
export function withoutPackingKeys({ include: _include, ...spec }: SpecInput): SpecInput {
  return spec;
}

/** What was not packed, one sentence each. */
export function packWarnings(packed: Packed): string[] {
  const secrets = packed.secrets.map((name) => leftOut(name, 'likely a secret (--include-secrets packs it)'));
  return [...packed.warnings, ...secrets];
}

/** The instance strips a single top folder. */
function withoutTopFolder(names: readonly string[]): string[] {
  const tops = new Set(names.map((name) => name.slice(0, name.indexOf('/') + 1)));
  const [topFolder = ''] = tops.size === 1 ? tops : [];
  const files = names.map((name) => ({ name, size: 0 }));
  return projectFiles({ files, topFolder: topFolder === '' ? null : topFolder.slice(0, -1) });
}
