import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { isRunning } from '../../aws/executions.ts';
import { JOBS, type JobName, MANIFEST, PULLED, runFileKey, runFolder } from '../../core/names.ts';
import { OUTPUTS_ARCHIVE } from '../../core/outcome/manifest.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { CHECKPOINTS } from '../../core/spec/spec.ts';
import { formatSize } from '../../core/units.ts';
import { readPlaced } from '../archive/pulled.ts';
import type { Context, WorkContext } from '../context.ts';
import { CliError, EXIT, type ExitCode, setUpError } from '../errors.ts';
import { JobLog } from '../logs/job-log.ts';
import type { PullOutput } from '../output/schemas.ts';
import { pollUntil } from '../terminal/poll.ts';
import { TransferText } from '../terminal/transfer-text.ts';
import { download, type StoredObject } from './download.ts';
import { FETCHED_ARCHIVE, fetchFiles } from './fetch.ts';
import type { Run, Runs } from './find.ts';
import { freeBytes, requireSpace } from './free-space.ts';
import { notCollected } from './not-collected.ts';
import { digestOf, filesBelow, placeFiles, removeEmptyFolders, removeFolder } from './place-files.ts';
import { manifestOf, mayBeActive } from './summary.ts';
import { unpackOutputs } from './unpack-outputs.ts';

export const PULL_FOLDER = 'runctl-runs';
/** Holds the downloads until all are checked; an interrupted pull resumes from it. */
const STAGE = '.pulling';
const POLL_MS = 1_000;
/** Names that runctl itself writes beside the outputs. */
const RESERVED = [STAGE, PULLED, FETCHED_ARCHIVE, MANIFEST, ...JOBS.map((job) => `${job}.log`)];

export interface PullOptions {
  readonly to?: string;
  readonly force?: true;
  readonly unpack: boolean;
  /** Patterns of files to fetch from the instance as well. */
  readonly also?: readonly string[];
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

/** Downloads one run: what it left, or what is there so far. */
export async function pullRun(context: WorkContext, runs: Runs, run: Run, options: PullOptions): Promise<PullOutput> {
  const isOver = run.execution === null || !isRunning(run.execution);
  const manifest = isOver ? await savedManifest(context, runs, run) : null;
  const folder = resolve(context.folder, options.to ?? join(PULL_FOLDER, runFolder(run.id)));
  const created = await mkdir(join(folder, STAGE), { recursive: true });
  const pull = { context, runs, run, options, folder, stage: join(folder, STAGE) };
  try {
    const output = manifest === null ? await pullSoFar(pull) : await pullEnded(pull, manifest);
    await removeFolder(pull.stage);
    return output;
  } catch (error) {
    // A download that was interrupted resumes from the stage; a pull that was refused leaves nothing.
    if (error instanceof CliError) {
      await removeFolder(pull.stage);
      await removeEmptyFolders(folder, created);
    }
    throw error;
  }
}

interface Pull {
  readonly context: WorkContext;
  readonly runs: Runs;
  readonly run: Run;
  readonly options: PullOptions;
  readonly folder: string;
  /** Holds the downloads until all are checked. */
  readonly stage: string;
}

async function pullEnded(pull: Pull, manifest: Manifest): Promise<PullOutput> {
  const { context, runs, run, options, folder, stage } = pull;
  const { terminal, signal } = context;
  const objects = await objectsToDownload(manifest, folder, options.unpack);
  const total = objects.reduce((sum, { bytes }) => sum + bytes, 0);
  await requireSpace(stage, total + (options.unpack ? unpackedBytes(manifest) : 0));
  const files = await terminal.working(`Downloading ${formatSize(total)} of run ${run.id}`, async (update) => {
    let before = 0;
    const text = new TransferText('Downloading');
    for (const object of objects) {
      const progress = (bytes: number) => update(text.at(before + bytes, total));
      const file = join(stage, basename(object.key));
      if (!(await isStored(file, object))) await download(runs.store, object, file, progress, signal);
      before += object.bytes;
    }
    return await unpackObjects(stage, objects, options.unpack, (text) => terminal.warn(text), signal);
  });
  const patterns = options.also ?? [];
  const { count: also, files: fetched } = patterns.length === 0 ? NOTHING : await fetchAlso(pull, () => patterns);
  for (const [name, file] of fetched) files.set(name, file);
  const digests = await digestsOf(fetched);
  const manifestFile = join(stage, MANIFEST);
  await writeFile(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
  files.set(MANIFEST, manifestFile);
  const { same, overwritten } = await place(pull, files);
  await record(pull, digests);
  const outputs = options.unpack ? `${manifest.outputs.count} outputs` : OUTPUTS_ARCHIVE;
  const existing = same.length > 0 ? `; ${same.length} files were already there` : '';
  const fromInstance = also > 0 ? `, ${also} files from the instance` : '';
  terminal.note(
    `Run ${run.id} (${manifest.outcome}): ${manifest.logs.length} logs, ${manifest.outputs.archive ? outputs : 'no outputs'}${fromInstance}, the manifest${existing}`,
  );
  const others = patterns.length === 0 ? notCollected(manifest) : null;
  if (others !== null) terminal.note(others);
  return {
    id: run.id,
    outcome: manifest.outcome,
    folder,
    outputs: manifest.outputs.count,
    also,
    logs: manifest.logs.length,
    overwritten: [...overwritten],
  };
}

/** Logs, and the files that are finished. */
async function pullSoFar(pull: Pull): Promise<PullOutput> {
  const { context, run, options, folder, stage } = pull;
  const files = new Map<string, string>();
  for (const job of JOBS) {
    const name = `${job}.log`;
    if (await writeLogSoFar(context, run.id, job, join(stage, name))) files.set(name, join(stage, name));
  }
  const logs = files.size;
  const patterns = (outputs: readonly string[]) => [...new Set([...outputs, CHECKPOINTS, ...(options.also ?? [])])];
  const fetched = await fetchAlso(pull, patterns);
  for (const [name, file] of fetched.files) files.set(name, file);
  const digests = await digestsOf(files);
  const { overwritten } = await place(pull, files);
  await record(pull, digests);
  context.terminal.note(
    `Run ${run.id} has not ended: ${logs} logs and ${fetched.count} finished files so far. Pull it again after its end to get the rest.`,
  );
  return { id: run.id, outcome: null, folder, outputs: fetched.count, also: 0, logs, overwritten: [...overwritten] };
}

interface Fetched {
  readonly count: number;
  /** As the archive or unpacked, by path in the folder. */
  readonly files: ReadonlyMap<string, string>;
}

const NOTHING: Fetched = { count: 0, files: new Map() };

/** Fetches files from the instance. */
async function fetchAlso(
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
async function digestsOf(files: ReadonlyMap<string, string>): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const [name, file] of files) if ((await lstat(file)).isFile()) digests[name] = await digestOf(file);
  return digests;
}

/** Records what was placed and the manifest does not list: a later pull may replace it, and it is not packed with the code. */
async function record({ folder }: Pull, digests: Readonly<Record<string, string>>): Promise<void> {
  const file = join(folder, PULLED);
  if (Object.keys(digests).length > 0) await writeFile(file, `${JSON.stringify(digests)}\n`);
  else await rm(file, { force: true });
}

/** Moves the files to their folder. With --force, or over what an earlier pull of the same run placed, it overwrites. */
async function place({ context, options, folder }: Pull, files: ReadonlyMap<string, string>) {
  const placed = await readPlaced(folder);
  const isOwn = async (name: string, target: string) =>
    placed[name] !== undefined && (await lstat(target)).isFile() && (await digestOf(target)) === placed[name];
  const done = await placeFiles(files, folder, async (name, target) => options.force === true || isOwn(name, target));
  if (options.force === true) for (const name of done.overwritten) context.terminal.note(`Overwritten: ${name}`);
  return done;
}

/** Writes what CloudWatch has of a log. @returns whether there is any */
async function writeLogSoFar({ account, signal }: WorkContext, runId: string, job: JobName, file: string) {
  const log = new JobLog(account.logs, { group: await account.output('logGroup'), runId, job });
  let bytes = 0;
  async function* chunks() {
    for (let atEnd = false; !atEnd; ) {
      const page = await log.next(signal);
      for (const { text } of page.messages) {
        bytes += text.length;
        yield Buffer.from(text);
      }
      atEnd = page.atEnd;
    }
  }
  await pipeline(chunks, createWriteStream(file), { signal });
  return bytes > 0;
}

/** Waits for the manifest of a run that is being stopped. */
async function savedManifest({ terminal, signal }: WorkContext, { store }: Runs, run: Run): Promise<Manifest> {
  const { execution, id } = run;
  if (execution === null) return run.manifest;
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
      await unpackArchive(file, join(stage, 'outputs'), files, warn);
    }
  }
  return files;
}

/** Unpacks outputs into `tree`, and adds them to `files` by their path in the project. */
async function unpackArchive(
  file: string,
  tree: string,
  files: Map<string, string>,
  warn: (text: string) => void,
): Promise<void> {
  await removeFolder(tree); // of a pull that was interrupted
  await mkdir(tree);
  for (const skipped of await unpackOutputs(file, tree, await freeBytes(dirname(tree)))) warn(skipped);
  for (const path of await filesBelow(tree)) {
    if (RESERVED.includes(path.split('/')[0] ?? '')) {
      warn(
        `${path} was not unpacked, because runctl writes a file of that name itself; --no-unpack keeps it in ${basename(file)}`,
      );
    } else files.set(path, join(tree, path));
  }
}

async function isStored(file: string, { bytes, sha256 }: Omit<StoredObject, 'key'>): Promise<boolean> {
  const found = await lstat(file).catch(() => null);
  return found?.isFile() === true && found.size === bytes && (await digestOf(file)) === sha256;
}
