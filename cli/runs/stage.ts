import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { MANIFEST, PULLED, readLogName } from '../../core/names.ts';
import { OUTPUTS_ARCHIVE } from '../../core/outcome/manifest.ts';
import { readPlaced } from '../archive/pulled.ts';
import type { WorkContext } from '../context.ts';
import { setUpError } from '../errors.ts';
import type { StoredObject } from './download.ts';
import { FETCHED_ARCHIVE, fetchFiles } from './fetch.ts';
import type { Run, Runs } from './find.ts';
import { freeBytes } from './free-space.ts';
import { digestOf, filesBelow, placeFiles, removeFolder } from './place-files.ts';
import { unpackOutputs } from './unpack-outputs.ts';

/** Holds the downloads until all are checked; an interrupted pull resumes from it. */
export const STAGE = '.pulling';
/** Names that runctl itself writes beside the outputs. */
const isReserved = (name: string) =>
  [STAGE, PULLED, FETCHED_ARCHIVE, MANIFEST].includes(name) || readLogName(name) !== null;

export interface PullOptions {
  readonly to?: string;
  readonly force?: true;
  readonly unpack: boolean;
  /** Patterns of files to fetch from the instance as well. */
  readonly also?: readonly string[];
}

export interface Pull {
  readonly context: WorkContext;
  readonly runs: Runs;
  readonly run: Run;
  readonly options: PullOptions;
  readonly folder: string;
  /** Holds the downloads until all are checked. */
  readonly stage: string;
}

interface Fetched {
  readonly count: number;
  /** As the archive or unpacked, by path in the folder. */
  readonly files: ReadonlyMap<string, string>;
}

export const NOTHING: Fetched = { count: 0, files: new Map() };

/** Fetches files from the instance. */
export async function fetchAlso(
  { context, runs, run, options, stage }: Pull,
  patterns: (outputs: readonly string[]) => readonly string[],
): Promise<Fetched> {
  const fetched = await fetchFiles(context, runs, run, patterns, stage);
  if (fetched === null) return NOTHING;
  const files = new Map<string, string>();
  if (!options.unpack) files.set(FETCHED_ARCHIVE, fetched.file);
  else await unpackArchive(fetched.file, join(stage, 'fetched'), files, (text) => context.terminal.warn(text));
  return { count: fetched.files, files };
}

/** Hex SHA-256 by name, without links. */
export async function digestsOf(files: ReadonlyMap<string, string>): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const [name, file] of files) if ((await lstat(file)).isFile()) digests[name] = await digestOf(file);
  return digests;
}

/** Records what was placed and the manifest does not list: a later pull may replace it, and it is not packed with the code. */
export async function record({ folder }: Pull, digests: Readonly<Record<string, string>>): Promise<void> {
  const file = join(folder, PULLED);
  if (Object.keys(digests).length > 0) await writeFile(file, `${JSON.stringify(digests)}\n`);
  else await rm(file, { force: true });
}

/** Moves the files to their folder. With --force, or over what an earlier pull of the same run placed, it overwrites. */
export async function place({ context, options, folder }: Pull, files: ReadonlyMap<string, string>) {
  const placed = await readPlaced(folder);
  const isOwn = async (name: string, target: string) =>
    placed[name] !== undefined && (await lstat(target)).isFile() && (await digestOf(target)) === placed[name];
  const done = await placeFiles(files, folder, async (name, target) => options.force === true || isOwn(name, target));
  if (options.force === true) for (const name of done.overwritten) context.terminal.note(`Overwritten: ${name}`);
  return done;
}

/** Ends with an error when more than so many bytes come: a few bytes of gzip may become any number. */
function upTo(maxBytes: number) {
  return async function* (chunks: AsyncIterable<Uint8Array>) {
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > maxBytes)
        throw setUpError(
          'Unpacked, a log has more bytes than the disk has free.',
          'Free space, choose another folder with --to, or keep the logs packed with --no-unpack.',
        );
      yield chunk;
    }
  };
}

/** The downloaded and unpacked files, by their path in the folder. */
export async function unpackObjects(
  stage: string,
  objects: readonly StoredObject[],
  unpack: boolean,
  warn: (text: string) => void,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const { key } of objects) {
    const name = basename(key);
    const file = join(stage, name);
    if (!unpack) files.set(name, file);
    else if (name !== OUTPUTS_ARCHIVE) {
      const log = name.replace(/\.gz$/, '');
      const source = [createReadStream(file), createGunzip(), upTo(await freeBytes(stage))] as const;
      await pipeline(...source, createWriteStream(join(stage, log)), { signal });
      files.set(log, join(stage, log));
    } else {
      await unpackArchive(file, join(stage, 'outputs'), files, warn);
    }
  }
  return files;
}

/** Unpacks outputs into `tree`, and adds them to `files` by their path in the project. */
export async function unpackArchive(
  file: string,
  tree: string,
  files: Map<string, string>,
  warn: (text: string) => void,
): Promise<void> {
  await removeFolder(tree); // of a pull that was interrupted
  await mkdir(tree);
  for (const skipped of await unpackOutputs(file, tree, await freeBytes(dirname(tree)))) warn(skipped);
  for (const path of await filesBelow(tree)) {
    if (isReserved(path.split('/')[0] ?? '')) {
      warn(
        `${path} was not unpacked, because runctl writes a file of that name itself; --no-unpack keeps it in ${basename(file)}`,
      );
    } else files.set(path, join(tree, path));
  }
}
