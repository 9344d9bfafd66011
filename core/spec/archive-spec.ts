import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import type { CaptureOptions } from '../archive/capture.ts';
import { printable } from '../archive/printable.ts';
import type { ArchiveReport } from '../archive/verify.ts';
import { RunError } from '../errors.ts';
import {
  ARCHIVE_PREFIX,
  type ArchiveLocation,
  parseArchiveUri,
  projectFolder,
  toProjectName,
  UPLOAD_PREFIX,
} from '../names.ts';
import { PACKAGE_FILE } from './package-file.ts';
import { InvalidSpec, parseSpec, type SpecInput } from './spec.ts';

export const SPEC_FILE = 'runctl.yaml';
/** The files of an archive that a spec is made of. They are a few KB; the rest of such a file would not be one. */
export const SPEC_SOURCES: CaptureOptions = { names: [SPEC_FILE, PACKAGE_FILE], maxBytes: 256 * 1024 };
export const DEFAULT_PROJECT = 'runctl';

/** What a file of the archive and the metadata of an upload cannot say. */
const OF_THE_INPUT = ['archive', 'patch', 'startedBy'] as const;
/** What only the archive as a whole has. */
const OF_THE_UPLOAD = ['sha256', 'sent'] as const;

/** What somebody may have named runctl.yaml instead. */
const OTHER_SPEC_FILE = /^\.?runctl\.(ya?ml|json|toml)(\.txt)?$/i;

/**
 * Refuses files that are meant as runctl.yaml and would not be read.
 * @param names of the files at the top of the project
 * @throws InvalidSpec
 */
export function refuseOtherSpecFiles(names: readonly string[]): void {
  const others = names.filter((name) => name !== SPEC_FILE && OTHER_SPEC_FILE.test(name)).map(printable);
  if (others.length === 0) return;
  const both = names.includes(SPEC_FILE) || others.length > 1;
  throw new InvalidSpec(
    both
      ? `${[...others, ...(names.includes(SPEC_FILE) ? [SPEC_FILE] : [])].join(' and ')} are in one folder, and only ${SPEC_FILE} is read. Keep one file, named ${SPEC_FILE}.`
      : `${others[0]} is not read: the run spec is named ${SPEC_FILE}. Rename the file.`,
  );
}

/**
 * Reads the runctl.yaml of the archive.
 * @throws InvalidSpec
 */
export function readSpecFile(report: ArchiveReport): SpecInput {
  refuseOtherSpecFiles(projectFiles(report));
  const text = captured(report, SPEC_FILE);
  return text === null ? {} : parseSpecFile(text);
}

/**
 * Reads the text of a runctl.yaml.
 * @throws InvalidSpec
 */
export function parseSpecFile(text: string): SpecInput {
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch (error) {
    throw new InvalidSpec(`${SPEC_FILE} is not YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
  return without([...OF_THE_INPUT, ...OF_THE_UPLOAD], parseSpec(value, SPEC_FILE), SPEC_FILE);
}

/**
 * Reads the upload's metadata `x-amz-meta-runctl`.
 * @throws InvalidSpec
 */
export function readSpecMetadata(metadata: string | null): SpecInput {
  const source = "the upload's metadata x-amz-meta-runctl";
  if (metadata === null) return {};
  let value: unknown;
  try {
    value = JSON.parse(metadata);
  } catch {
    throw new InvalidSpec(`${source} is not JSON`);
  }
  return withoutInclude(without(OF_THE_INPUT, parseSpec(value, source), source), source);
}

/**
 * Refuses the key `include` where there is nothing to pack: in the metadata of an upload and the input of an execution.
 * @throws InvalidSpec
 */
export function withoutInclude(spec: SpecInput, source: string): SpecInput {
  if (spec.include === undefined) return spec;
  throw new InvalidSpec(
    `${source}: include has no effect on an archive that is packed already; give it in ${SPEC_FILE}, or as an option of \`runctl run\``,
  );
}

function without(keys: readonly (keyof SpecInput)[], spec: SpecInput, source: string): SpecInput {
  for (const key of keys) {
    if (spec[key] !== undefined) throw new InvalidSpec(`${source}: ${key} is valid in the execution's input only`);
  }
  return spec;
}

/**
 * Where the archive is that a run names.
 * @throws InvalidSpec; RunError ArchiveNotGzip
 */
export function locateArchive(asked: SpecInput, uploadBucket: string): ArchiveLocation {
  const location = parseArchiveUri(asked.archive ?? '');
  if (!location) throw new InvalidSpec("the execution's input: archive is missing; give s3://bucket/key");
  if (location.bucket !== uploadBucket) {
    throw new InvalidSpec(
      `archive: runctl reads archives from its own bucket, ${uploadBucket}, and not from ${location.bucket}`,
    );
  }
  if (!location.key.startsWith(UPLOAD_PREFIX) && !location.key.startsWith(ARCHIVE_PREFIX)) {
    throw new InvalidSpec(
      `archive: runctl reads archives below ${UPLOAD_PREFIX} and ${ARCHIVE_PREFIX}, and not ${location.key}`,
    );
  }
  if (!location.key.endsWith('.tar.gz') && !location.key.endsWith('.tgz')) {
    throw new RunError('ArchiveNotGzip', `${location.key} is not named .tar.gz. Pack the project with tar czf.`);
  }
  return location;
}

/** The project's name where nobody gave one: the upload's folder, pyproject.toml, the archive's top folder, `runctl`. */
export function deriveProject(location: ArchiveLocation, report: ArchiveReport): string {
  const candidates = [projectFolder(location.key), pyprojectName(report), report.topFolder];
  for (const candidate of candidates) {
    const name = candidate === null ? null : toProjectName(candidate);
    if (name !== null) return name;
  }
  return DEFAULT_PROJECT;
}

function pyprojectName(report: ArchiveReport): string | null {
  const text = packageText(report);
  return text === null ? null : packageName(text);
}

/** The text of the archive's pyproject.toml, or null. */
export function packageText(report: ArchiveReport): string | null {
  return captured(report, PACKAGE_FILE);
}

/** `[project] name` of the text of a pyproject.toml, or null. */
export function packageName(text: string): string | null {
  try {
    const { project } = parseToml(text) as { project?: { name?: unknown } };
    return typeof project?.name === 'string' ? project.name : null;
  } catch {
    return null; // Not ours to judge: it only might have held a name.
  }
}

function captured(report: ArchiveReport, name: string): string | null {
  const bytes = report.captured.get(name);
  return bytes === undefined ? null : new TextDecoder().decode(bytes);
}

/** Names as the project sees them: without the single top folder that is stripped. */
export function projectFiles(report: Pick<ArchiveReport, 'files' | 'topFolder'>): string[] {
  const prefix = report.topFolder === null ? '' : `${report.topFolder}/`;
  return report.files.map((file) => file.name.slice(prefix.length));
}
