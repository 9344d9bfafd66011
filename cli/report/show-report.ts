import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isRunning } from '../../aws/executions.ts';
import { runFolder } from '../../core/names.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { comparison, MOST_COMPARED } from '../../core/report/comparison.ts';
import { type RunResults, runReport } from '../../core/report/report.ts';
import { REPORT_FILE } from '../../core/results/files.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, usageError } from '../errors.ts';
import type { ReportOutput } from '../output/schemas.ts';
import { projectFor } from '../project/which-project.ts';
import { type Run, Runs } from '../runs/find.ts';
import { PULL_FOLDER } from '../runs/pull.ts';
import { openerOf, readStoredReport } from '../runs/run-metrics.ts';
import { manifestOfRun } from '../runs/run-spec.ts';
import { openBrowser } from '../ui/open-browser.ts';
import { readResults } from './read-results.ts';

export interface ReportOptions {
  readonly project?: string;
  readonly output?: string;
  readonly open?: true;
  readonly json?: true;
}

/** What `runctl report` does. */
export async function showReport(context: Context, ids: readonly string[], options: ReportOptions): Promise<ExitCode> {
  const { account, terminal, signal, folder } = context;
  if (ids.length > MOST_COMPARED)
    throw usageError(`${ids.length} runs were given; a report compares ${MOST_COMPARED} at most.`, 'Give fewer runs.');
  const runs = await Runs.of(account);
  const manifests: Manifest[] = [];
  for (const id of ids.length > 0 ? ids : [undefined])
    manifests.push(await manifestOfEnded(runs, await runs.find(id, () => projectFor(context, options))));
  const [first] = manifests;
  if (first === undefined) return EXIT.usage;
  const isOne = manifests.length === 1;
  const file = resolve(
    folder,
    options.output ?? (isOne ? join(PULL_FOLDER, runFolder(first.run.id), REPORT_FILE) : 'runctl-report.html'),
  );
  const html = isOne
    ? ((await readStoredReport(openerOf(runs.store, first.run.id, signal), first)) ?? runReport(await results(first)))
    : comparison(await several(manifests, results));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, html);
  const output: ReportOutput = { file, runs: manifests.map(({ run }) => run.id) };
  if (options.json) terminal.json(output);
  else terminal.print(relative(folder, file));
  if (options.open) openBrowser(pathToFileURL(file).href);
  return EXIT.succeeded;

  async function results(manifest: Manifest): Promise<RunResults> {
    return await terminal.working(`Reading the metrics of run ${manifest.run.id}`, () =>
      readResults(runs.store, manifest, signal),
    );
  }
}

/** One after the other: each may be a log of a gigabyte. */
async function several<T, R>(all: readonly T[], read: (one: T) => Promise<R>): Promise<R[]> {
  const found: R[] = [];
  for (const one of all) found.push(await read(one));
  return found;
}

async function manifestOfEnded(runs: Pick<Runs, 'store'>, run: Run): Promise<Manifest> {
  const manifest = await manifestOfRun(runs, run);
  if (manifest !== null) return manifest;
  const isOver = run.execution === null || !isRunning(run.execution);
  throw usageError(
    `Run ${run.id} ${isOver ? 'has no manifest' : 'has not ended yet'}: there is no report of it.`,
    `To see its metrics so far: runctl metrics ${run.id}. To watch it: runctl ui`,
  );
}
