import { lstat, mkdir, writeFile } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { isRunning } from '../../aws/executions.ts';
import { MANIFEST, readLogName, runFileKey, runFolder } from '../../core/names.ts';
import { OUTPUTS_ARCHIVE } from '../../core/outcome/manifest.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { formatNumberOf, formatSize } from '../../core/units.ts';
import type { Context, WorkContext } from '../context.ts';
import { CliError, EXIT, type ExitCode, setUpError } from '../errors.ts';
import type { PullOutput } from '../output/schemas.ts';
import { pollUntil } from '../terminal/poll.ts';
import { TransferText } from '../terminal/transfer-text.ts';
import { download, type StoredObject } from './download.ts';
import type { Run, Runs } from './find.ts';
import { requireSpace } from './free-space.ts';
import { notCollected } from './not-collected.ts';
import { digestOf, removeEmptyFolders, removeFolder } from './place-files.ts';
import { pullSoFar } from './pull-so-far.ts';
import {
  digestsOf,
  fetchAlso,
  NOTHING,
  type Pull,
  type PullOptions,
  place,
  record,
  STAGE,
  unpackObjects,
} from './stage.ts';
import { manifestOf, mayBeActive } from './summary.ts';

export const PULL_FOLDER = 'runctl-runs';
const POLL_MS = 1_000;

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
  const outputs = options.unpack ? formatNumberOf(manifest.outputs.count, 'output') : OUTPUTS_ARCHIVE;
  const were = same.length === 1 ? 'was' : 'were';
  const existing = same.length > 0 ? `; ${formatNumberOf(same.length, 'file')} ${were} already there` : '';
  const fromInstance = also > 0 ? `, ${formatNumberOf(also, 'file')} from the instance` : '';
  terminal.note(
    `Run ${run.id} (${manifest.outcome}): ${formatNumberOf(manifest.logs.length, 'log')}, ${manifest.outputs.archive ? outputs : 'no outputs'}${fromInstance}, the manifest${existing}`,
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
  const name = basename(key);
  const isOwn = name === OUTPUTS_ARCHIVE || (readLogName(name) !== null && name.endsWith('.gz'));
  if (isOwn && runFileKey(runId, name) === key) return;
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

async function isStored(file: string, { bytes, sha256 }: Omit<StoredObject, 'key'>): Promise<boolean> {
  const found = await lstat(file).catch(() => null);
  return found?.isFile() === true && found.size === bytes && (await digestOf(file)) === sha256;
}
