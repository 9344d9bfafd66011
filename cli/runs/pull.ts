import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, writeFile } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { isRunning } from '../../aws/executions.ts';
import { JOBS, MANIFEST, runFileKey, runFolder } from '../../core/names.ts';
import { OUTPUTS_ARCHIVE } from '../../core/outcome/manifest.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { formatSize } from '../../core/units.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT, type ExitCode, setUpError, usageError } from '../errors.ts';
import type { PullOutput } from '../output/schemas.ts';
import { pollUntil } from '../terminal/poll.ts';
import { download, type StoredObject } from './download.ts';
import type { Run, Runs } from './find.ts';
import { freeBytes, requireSpace } from './free-space.ts';
import { digestOf, filesBelow, placeFiles, removeEmptyFolders, removeFolder } from './place-files.ts';
import { manifestOf, mayBeActive } from './summary.ts';
import { unpackOutputs } from './unpack-outputs.ts';

export const PULL_FOLDER = 'runctl-runs';
/** Holds the downloads until all are checked; an interrupted pull resumes from it. */
const STAGE = '.pulling';
const POLL_MS = 1_000;
/** Names that runctl itself writes beside the outputs. */
const RESERVED = [STAGE, MANIFEST, ...JOBS.map((job) => `${job}.log`)];

export interface PullOptions {
  readonly to?: string;
  readonly force?: true;
  readonly unpack: boolean;
}

/** What `runctl pull` does. @param options `several`: --to has a folder for each run */
export async function pullRuns(
  context: Context,
  runs: Runs,
  chosen: readonly Run[],
  options: PullOptions & { readonly several: boolean; readonly json: boolean },
): Promise<ExitCode> {
  const pulled: PullOutput[] = [];
  for (const run of chosen) {
    const folder = options.several ? join(options.to ?? PULL_FOLDER, runFolder(run.id)) : options.to;
    const one = await pullRun(context, runs, run, { ...options, ...(folder === undefined ? {} : { to: folder }) });
    if (!options.json) context.terminal.print(relative(context.folder, one.folder) || '.');
    pulled.push(one);
  }
  if (options.json) context.terminal.json(pulled);
  return EXIT.succeeded;
}

/** What a download needs of a command. */
export interface PullContext extends Pick<Context, 'signal' | 'folder'> {
  readonly terminal: Pick<Context['terminal'], 'note' | 'warn' | 'working'>;
}

/** Downloads one run. */
export async function pullRun(context: PullContext, runs: Runs, run: Run, options: PullOptions): Promise<PullOutput> {
  const manifest = await savedManifest(context, runs, run);
  const folder = resolve(context.folder, options.to ?? join(PULL_FOLDER, runFolder(run.id)));
  const created = await mkdir(join(folder, STAGE), { recursive: true });
  try {
    return await pullInto(folder, { context, runs, run, manifest, options });
  } catch (error) {
    // A download that was interrupted resumes from the stage; a pull that was refused leaves nothing.
    if (error instanceof CliError) {
      await removeFolder(join(folder, STAGE));
      await removeEmptyFolders(folder, created);
    }
    throw error;
  }
}

interface Pull {
  readonly context: PullContext;
  readonly runs: Runs;
  readonly run: Run;
  readonly manifest: Manifest;
  readonly options: PullOptions;
}

async function pullInto(folder: string, { context, runs, run, manifest, options }: Pull): Promise<PullOutput> {
  const { terminal, signal } = context;
  const stage = join(folder, STAGE);
  const objects = await objectsToDownload(manifest, folder, options.unpack);
  const total = objects.reduce((sum, { bytes }) => sum + bytes, 0);
  await requireSpace(stage, total + (options.unpack ? unpackedBytes(manifest) : 0));
  const files = await terminal.working(`Downloading ${formatSize(total)} of run ${run.id}`, async (update) => {
    let before = 0;
    for (const object of objects) {
      const progress = (bytes: number) => update(`Downloading ${formatSize(before + bytes)} of ${formatSize(total)}`);
      const file = join(stage, basename(object.key));
      if (!(await isStored(file, object))) await download(runs.store, object, file, progress, signal);
      before += object.bytes;
    }
    return await unpackObjects(stage, objects, options.unpack, (text) => terminal.warn(text), signal);
  });
  const manifestFile = join(stage, MANIFEST);
  await writeFile(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
  files.set(MANIFEST, manifestFile);
  const { same, overwritten } = await placeFiles(files, folder, { overwrite: options.force === true });
  await removeFolder(stage);
  for (const name of overwritten) terminal.note(`Overwritten: ${name}`);
  const outputs = options.unpack ? `${manifest.outputs.count} outputs` : OUTPUTS_ARCHIVE;
  const existing = same.length > 0 ? `; ${same.length} files were already there` : '';
  terminal.note(
    `Run ${run.id} (${manifest.outcome}): ${manifest.logs.length} logs, ${manifest.outputs.archive ? outputs : 'no outputs'}, the manifest${existing}`,
  );
  return {
    id: run.id,
    outcome: manifest.outcome,
    folder,
    outputs: manifest.outputs.count,
    logs: manifest.logs.length,
    overwritten: [...overwritten],
  };
}

/** Waits for the manifest of a run that is being stopped. */
async function savedManifest({ terminal, signal }: PullContext, { store }: Runs, run: Run): Promise<Manifest> {
  const { execution, id } = run;
  if (execution === null) return run.manifest;
  if (isRunning(execution)) {
    throw usageError(
      `Run ${id} has not ended yet, and its outputs are saved at its end.`,
      `To wait for it: runctl status ${id} --wait. To see its log so far: runctl logs ${id} --raw`,
    );
  }
  const read = () => manifestOf(store, execution);
  const manifest = (await read()) ?? (mayBeActive(execution, Date.now()) ? await waitFor(read) : null);
  if (manifest !== null) return manifest;
  throw setUpError(
    `Run ${id} has ended but has no manifest: its outputs are still being saved, or could not be saved.`,
    `To check: runctl status ${id}. To see what is stored: aws s3 ls s3://${store.bucket}/runs/${id}/`,
  );

  /** null: not within the time that stop-run takes. */
  async function waitFor(readManifest: () => Promise<Manifest | null>): Promise<Manifest | null> {
    return await terminal.working(`Run ${run.id} is stopping; waiting for its outputs and logs`, () =>
      pollUntil(
        POLL_MS,
        async () => (await readManifest()) ?? (execution && mayBeActive(execution, Date.now()) ? undefined : null),
        signal,
      ),
    );
  }
}

/** Downloads are written under the last part of their key, so that must be one of the names that runctl gives. */
function requireOwnKey(key: string, runId: string): void {
  const names = [OUTPUTS_ARCHIVE, ...JOBS.map((job) => `${job}.log.gz`)];
  if (names.some((name) => runFileKey(runId, name) === key)) return;
  throw setUpError(
    `The manifest of run ${runId} names the object ${JSON.stringify(key)}, which is not one of that run.`,
    'Update runctl, or read the manifest: somebody may have changed it.',
  );
}

/** The objects to download: without the outputs when all of them are in the folder already. */
async function objectsToDownload(
  { run, logs, outputs }: Manifest,
  folder: string,
  unpack: boolean,
): Promise<StoredObject[]> {
  const { archive, files, count } = outputs;
  for (const { key } of [...logs, ...(archive ? [archive] : [])]) requireOwnKey(key, run.id);
  if (archive === null) return [...logs];
  const listed = unpack && files.length === count;
  for (const { path, bytes, sha256 } of listed ? files : []) {
    if (!(await isStored(join(folder, path), { bytes, sha256 }))) return [...logs, archive];
  }
  return listed && count > 0 ? [...logs] : [...logs, archive];
}

/** What the outputs have unpacked, as far as the manifest lists them. */
function unpackedBytes({ outputs }: Manifest): number {
  return outputs.files.reduce((sum, { bytes }) => sum + bytes, 0);
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
async function unpackObjects(
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
      const tree = join(stage, 'outputs');
      await removeFolder(tree); // of a pull that was interrupted
      await mkdir(tree);
      for (const skipped of await unpackOutputs(file, tree, await freeBytes(stage))) warn(skipped);
      for (const path of await filesBelow(tree)) {
        if (RESERVED.includes(path.split('/')[0] ?? ''))
          warn(
            `${path} was not unpacked, because runctl writes a file of that name itself; --no-unpack keeps it in outputs.tar.gz`,
          );
        else files.set(path, join(tree, path));
      }
    }
  }
  return files;
}

async function isStored(file: string, { bytes, sha256 }: Omit<StoredObject, 'key'>): Promise<boolean> {
  const found = await lstat(file).catch(() => null);
  return found?.isFile() === true && found.size === bytes && (await digestOf(file)) === sha256;
}
