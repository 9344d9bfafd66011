import { isRunning } from '../../aws/executions.ts';
import { AttemptsParser } from '../../core/metrics/attempts-parser.ts';
import {
  type CustomMetrics,
  compileMetrics,
  InvalidMetric,
  joinMetrics,
  metricsOfSpec,
} from '../../core/metrics/custom.ts';
import { byHeadline, headlinesIn } from '../../core/metrics/headline.ts';
import { MetricsParser } from '../../core/metrics/parser.ts';
import type { Point } from '../../core/metrics/point.ts';
import { SeriesSet } from '../../core/metrics/series.ts';
import type { Manifest } from '../../core/outcome/manifest-schema.ts';
import { addFilePoints } from '../../core/results/read-sources.ts';
import { type RetryNotes, retryNotes, retryUntilReachable } from '../account/retry.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, usageError } from '../errors.ts';
import { AttemptsLog } from '../logs/attempts-log.ts';
import { QUIET_READS } from '../logs/job-log.ts';
import { metricOf } from '../project/spec-options.ts';
import { projectFor } from '../project/which-project.ts';
import { type Run, Runs } from '../runs/find.ts';
import { type EndedMetrics, openerOf, parseMetrics, readStoredMetrics } from '../runs/run-metrics.ts';
import { manifestOfRun, specOfRun } from '../runs/run-spec.ts';
import { endingOf } from '../runs/summary.ts';
import { printDetached } from '../terminal/detach.ts';
import { pollUntil } from '../terminal/poll.ts';
import {
  CSV_HEAD,
  printSeries,
  printSeriesJson,
  type RunSeries,
  toCsv,
  toJsonLine,
  toTextLine,
} from './print-metrics.ts';
import { readNewMetrics } from './read-metrics.ts';

const POLL_MS = 1_000;

export interface MetricsOptions {
  readonly project?: string;
  readonly name?: readonly string[];
  readonly match?: readonly string[];
  readonly follow?: true;
  readonly json?: true;
  readonly csv?: true;
}

/** With the headline metrics of the run's spec. */
interface FoundSeries extends RunSeries {
  readonly chosen: readonly string[];
}

/** What `runctl metrics` does. */
export async function showMetrics(
  context: Context,
  ids: readonly string[],
  options: MetricsOptions,
): Promise<ExitCode> {
  if (options.follow && ids.length > 1)
    throw usageError(`--follow takes one run, not ${ids.length}.`, 'Leave out --follow, or name one run.');
  const matches = matchesIn(options);
  const runs = await Runs.of(context.account);
  const find = (id: string | undefined) => runs.find(id, () => projectFor(context, options));
  const parserFor = (spec: unknown, attempt = 1) =>
    new MetricsParser({ custom: joinMetrics(metricsOfSpec(spec), matches), attempt });
  if (options.follow) return await followMetrics(context, runs, await find(ids[0]), parserFor, options);
  const found: FoundSeries[] = [];
  for (const id of ids.length > 0 ? ids : [undefined]) {
    const run = await find(id);
    const manifest = await manifestOfRun(runs, run);
    const spec = await specOfRun(runs, run, manifest);
    const isAsStored = options.match === undefined;
    const metrics = await readRun(
      context,
      runs,
      { run, manifest },
      { newParser: (attempt) => parserFor(spec, attempt), isAsStored },
    );
    warnOfLimits(context, metrics);
    found.push({ run: run.id, series: metrics.series.all(options.name), chosen: headlinesIn(spec) });
  }
  print(context, found, options);
  return EXIT.succeeded;
}

/** Of `--match`. */
function matchesIn({ match = [] }: MetricsOptions): CustomMetrics {
  try {
    return compileMetrics(match.map((text) => metricOf(text, '--match')));
  } catch (error) {
    if (!(error instanceof InvalidMetric)) throw error;
    throw usageError(`--match: ${error.message}.`, 'Expressions are those of RE2, with one group for the value.');
  }
}

/**
 * Of a run that is over, what summarize-run stored, or what the run left in S3, which is whole; otherwise what CloudWatch has.
 * @param reading `isAsStored`: what is stored was made by the same parser
 */
async function readRun(
  context: Context,
  runs: Runs,
  { run, manifest }: { readonly run: Run; readonly manifest: Manifest | null },
  { newParser, isAsStored }: { readonly newParser: (attempt: number) => MetricsParser; readonly isAsStored: boolean },
): Promise<Omit<EndedMetrics, 'hasLog'>> {
  const { signal, terminal } = context;
  const isOver = run.execution === null || !isRunning(run.execution);
  const open = openerOf(runs.store, run.id, signal);
  if (isOver) {
    const stored = manifest !== null && isAsStored ? await readStoredMetrics(open, manifest) : null;
    const ended = stored ?? (await parseMetrics(open, { id: run.id, manifest }, newParser));
    if (ended.hasLog) return ended;
  }
  const parser = new AttemptsParser(newParser);
  const series = new SeriesSet();
  const notes = retryNotes((line) => terminal.note(line));
  const onPoints = (points: readonly Point[]) => series.add(points);
  await readNewMetrics(await openLog(context, run), parser, onPoints, { notes, signal });
  // Of a run that goes on the last line may be half a line, and so half a number.
  if (isOver) onPoints(parser.end());
  const { hasMoreSeries, skippedLines } = parser;
  const files = isOver ? await addFilePoints(open, series) : null;
  return { series, hasMoreSeries: hasMoreSeries || files?.hasMoreSeries === true, skippedLines };
}

async function openLog({ account }: Context, { id }: Run): Promise<AttemptsLog> {
  const streams = { group: await account.output('logGroup'), runId: id, job: 'train' } as const;
  return AttemptsLog.from(account.logs, streams, 1);
}

function print({ terminal }: Context, found: readonly FoundSeries[], options: MetricsOptions): void {
  if (options.json) {
    printSeriesJson(terminal, found);
    return;
  }
  if (options.csv) {
    terminal.print(CSV_HEAD);
    for (const { run, series } of found)
      for (const { name, points } of series) for (const point of points) terminal.print(toCsv(run, { name, ...point }));
    return;
  }
  for (const { run, series, chosen } of found) {
    if (found.length > 1) terminal.print(terminal.colors.bold(`Run ${run}`));
    if (series.length > 0)
      printSeries(terminal, { run, series: byHeadline(series, chosen) }, options.name !== undefined);
    else
      terminal.note(
        `The log of run ${run} has no ${options.name?.join(', ') ?? 'metrics'} that runctl recognizes. ` +
          'See docs/guide/metrics.md for what it recognizes, and --match for other lines.',
      );
  }
}

function warnOfLimits(
  { terminal }: Context,
  { hasMoreSeries, skippedLines }: Pick<MetricsParser, 'hasMoreSeries' | 'skippedLines'>,
): void {
  if (hasMoreSeries) terminal.warn('the run has more than 64 metrics; the others are left out');
  if (skippedLines > 0) terminal.warn(`${skippedLines} lines of the log have more than 4 KB and were skipped`);
}

/** Prints each value as it comes, and the curves at the end. */
async function followMetrics(
  context: Context,
  runs: Runs,
  run: Run,
  parserFor: (spec: unknown, attempt: number) => MetricsParser,
  options: MetricsOptions,
): Promise<ExitCode> {
  const { terminal, signal } = context;
  const points = new SeriesSet();
  if (options.csv) terminal.print(CSV_HEAD);
  const onPoints = (some: readonly Point[]) => {
    const chosen = some.filter(({ name }) => options.name?.includes(name) ?? true);
    points.add(chosen);
    for (const point of chosen) {
      if (options.json) terminal.print(toJsonLine(run.id, point));
      else terminal.print(options.csv ? toCsv(run.id, point) : toTextLine(point));
    }
  };
  const { ending, parser, chosen } = await readUntilEnd(context, runs, run, {
    parserFor,
    onPoints,
    notes: retryNotes(terminal.note.bind(terminal)),
  });
  onPoints(parser.end());
  warnOfLimits(context, parser);
  signal.throwIfAborted();
  if (!options.json && !options.csv)
    print(context, [{ run: run.id, series: points.all(options.name), chosen }], options);
  return ending === 'succeeded' ? EXIT.succeeded : EXIT.runFailed;
}

/** @returns the run's outcome, the parser that has read its log, and the headline metrics of its spec */
async function readUntilEnd(
  context: Context,
  runs: Runs,
  run: Run,
  reading: {
    parserFor: (spec: unknown, attempt: number) => MetricsParser;
    onPoints: (points: readonly Point[]) => void;
    notes: RetryNotes;
  },
): Promise<{ ending: string | null; parser: AttemptsParser; chosen: readonly string[] }> {
  const { signal, terminal } = context;
  const { parserFor, onPoints, notes } = reading;
  const { executions } = runs;
  const log = await openLog(context, run);
  let { execution } = run;
  let parser: AttemptsParser | null = null;
  let chosen: readonly string[] = [];
  let quiet = 0;
  const read = async (): Promise<AttemptsParser | undefined> => {
    // Before the log, so that what the run wrote before it ended is included.
    if (execution !== null && isRunning(execution))
      execution = (await retryUntilReachable(() => executions.describe(run.arn, signal), notes, signal)) ?? execution;
    const isOver = execution === null || !isRunning(execution);
    if (parser === null) {
      const readSpec = async () => specOfRun(runs, run, await manifestOfRun(runs, run));
      const spec = await retryUntilReachable(readSpec, notes, signal);
      // Without a spec, which may describe metrics, there is no training yet.
      if (spec === null && !isOver) return undefined;
      parser = new AttemptsParser((attempt) => parserFor(spec, attempt));
      chosen = headlinesIn(spec);
    }
    const any = await readNewMetrics(log, parser, onPoints, { notes, signal });
    quiet = any || !isOver ? 0 : quiet + 1;
    return quiet < QUIET_READS ? undefined : parser;
  };
  try {
    const finished = await pollUntil(POLL_MS, read, signal);
    const ending = execution === null ? run.manifest?.outcome : endingOf(execution)?.outcome;
    return { ending: ending ?? null, parser: finished, chosen };
  } catch (error) {
    if (signal.aborted) printDetached(terminal, run.id);
    throw error;
  }
}
