import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { ScriptNotFound } from '../../core/archive/choose-script.ts';
import { ArchiveError } from '../../core/archive/verify.ts';
import { chooseEntry } from '../../core/spec/choose-entry.ts';
import { ENTRY_KEYS, type Entry, entryText, requestedEntry } from '../../core/spec/entry.ts';
import { outputMatcher } from '../../core/spec/output-globs.ts';
import { PACKAGE_FILE } from '../../core/spec/package-file.ts';
import { defaultRequirements, missingRequirements } from '../../core/spec/requirements.ts';
import { outputPatterns, type SpecInput, withoutDotSlash } from '../../core/spec/spec.ts';
import { usageError } from '../errors.ts';
import { withTemporary } from '../project/private-folder.ts';
import type { Found } from '../project/project.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { addIncluded } from './include.ts';
import { type Packed, packFiles } from './pack.ts';
import { withPackCache } from './pack-cache.ts';
import { type Listing, listFiles } from './pack-list.ts';
import { ScanCounter } from './scan.ts';
import { findSource } from './source.ts';
import type { LocalArchive } from './upload.ts';
import { leftOut } from './walk.ts';
import { sizeWarnings, trackerWarnings } from './warnings.ts';

/** The code of a project folder. */
export interface Code {
  readonly folder: string;
  readonly listing: Listing;
}

/** What will be started, and where its name comes from. */
export interface Script {
  readonly value: string;
  readonly key: (typeof ENTRY_KEYS)[number];
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
 * Chooses what a run of this code would start, and checks that the requirements file exists, as the state
 * Verify archive does.
 * @throws CliError with the candidates, or for a requirements file that is missing
 */
export function checkScript({ listing }: Code, spec: SpecInput, from: string): Script {
  const names = withoutTopFolder(listing.files.map(({ name }) => name));
  const wanted = requestedEntry(spec);
  if (wanted.script !== null && listing.outputs.includes(withoutDotSlash(wanted.script)))
    throw usageError(
      `The script ${wanted.script} is not among the files to upload.`,
      'It matches the key outputs, whose files are results of a run. Move the script, or correct the key.',
    );
  const entry = entryOf(names, wanted);
  const { requirements } = spec;
  const missing =
    requirements === undefined || spec.install === 'skip'
      ? null
      : missingRequirements(withoutDotSlash(requirements), names);
  if (missing !== null)
    throw usageError(
      `The requirements file ${missing} is not among the files to upload.`,
      'Correct the key requirements, or check whether an ignore file excludes the file.',
    );
  const isGiven = ENTRY_KEYS.some((key) => spec[key] !== undefined);
  return { value: entryText(entry) ?? '', key: keyOf(entry), from: isGiven ? from : 'found' };
}

/** The option that says what to start, or the file that may. */
export function entryFrom(flags: SpecInput): string {
  const key = ENTRY_KEYS.find((name) => flags[name] !== undefined);
  return key === undefined ? 'runctl.yaml' : `--${key}`;
}

/** What the options say to start, without looking into an archive; null: nothing. */
export function entryOfSpec(flags: SpecInput): Script | null {
  const entry = requestedEntry(flags);
  const value = entryText(entry);
  return value === null ? null : { value, key: keyOf(entry), from: entryFrom(flags) };
}

function keyOf({ module, command }: Entry): Script['key'] {
  if (command !== null) return 'command';
  return module === null ? 'script' : 'module';
}

/**
 * What a run would install, and why; null: nothing.
 * @param packed the names of the files to upload
 * @param from the source of the spec's key
 */
export async function findRequirements(
  folder: string,
  packed: readonly string[],
  spec: SpecInput,
  from: string,
): Promise<Found<string> | null> {
  if (spec.install === 'skip') return null;
  if (spec.requirements !== undefined) return { value: spec.requirements, from };
  const names = withoutTopFolder(packed);
  const pyproject = packed[names.indexOf(PACKAGE_FILE)];
  const text = pyproject === undefined ? null : await readFile(join(folder, pyproject), 'utf8');
  return defaultRequirements(names, text, spec.installer);
}

function entryOf(names: readonly string[], entry: Entry): Entry {
  try {
    return chooseEntry(names, entry);
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
  try {
    return await withTemporary(code.folder, async (folder) => {
      const source = (await findSource(await realpath(code.folder), code.listing)) ?? undefined;
      return await withPackCache(code.folder, async (previous) => {
        const file = join(folder, 'code.tar.gz');
        const packed = await packFiles(code.folder, code.listing, file, { ...options, source, cache: previous });
        return await use({ ...packed.archive, file: packed.file, previous, keep: packed.keep }, packed);
      });
    });
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    throw usageError(error.message, 'Rename the file, or exclude it with .runctlignore.', { cause: error });
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

/** What the instance reads of packed code. */
export type PackedCode = Pick<Packed, 'files' | 'leftOut'>;

/** The names of packed code as they are on the instance, which strips a single top folder. */
export function projectNames(
  files: readonly { readonly name: string }[],
  leftOut: readonly string[],
): { names: string[]; leftOut: string[] } {
  const top = topFolderOf(files.map(({ name }) => name));
  const isInside = (name: string) => name === '' || name.startsWith(top);
  return {
    names: files.map(({ name }) => name.slice(top.length)),
    leftOut: leftOut.filter(isInside).map((name) => name.slice(top.length)),
  };
}

function withoutTopFolder(names: readonly string[]): string[] {
  const top = topFolderOf(names);
  return names.map((name) => name.slice(top.length));
}

/** The single folder that all files are in, with a slash at its end, or an empty text. */
function topFolderOf(names: readonly string[]): string {
  const tops = new Set(names.map((name) => name.slice(0, name.indexOf('/') + 1)));
  const [top = ''] = tops.size === 1 ? tops : [];
  return top;
}
