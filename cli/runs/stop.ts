import { isRunning } from '../../aws/executions.ts';
import { MANIFEST, STOPPED } from '../../core/names.ts';
import { formatDuration } from '../../core/units.ts';
import { readRun } from '../../core/workflow/history.ts';
import type { RunWord } from '../../core/workflow/vocabulary.ts';
import { retryNotes, retryUntilReachable } from '../account/retry.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, setUpError } from '../errors.ts';
import type { StopOutput } from '../output/schemas.ts';
import { pollUntil } from '../terminal/poll.ts';
import { colorWord } from '../terminal/word-color.ts';
import type { Run, Runs } from './find.ts';
import type { StoredFile } from './store.ts';
import { manifestOf, type RunSummary, summarize, summaryOf } from './summary.ts';

const POLL_MS = 500;
/** The event of an aborted execution normally arrives within seconds. */
const STARTS_WITHIN_MS = 5 * 60_000;
const CAUSE = 'runctl stop';

interface StopOptions {
  /** Until the processes have ended. */
  readonly wait: boolean;
  readonly json: boolean;
}

/** A run that has been asked to stop; `was`: what it did before. */
interface Stopping {
  readonly run: Run;
  readonly was: RunSummary;
  /** Seconds between TERM and KILL; null: nothing of the run is on an instance. */
  readonly grace: number | null;
}

/** Stops runs: TERM, the grace period. Returns when their processes have ended; outputs and logs are saved by then or later. */
export async function stopRuns(
  context: Context,
  runs: Runs,
  chosen: readonly Run[],
  options: StopOptions,
): Promise<ExitCode> {
  const { terminal } = context;
  // All of them first, so that the grace periods pass at the same time.
  const begun: (Stopping | StopOutput)[] = [];
  for (const run of chosen) begun.push(await stop(runs, run));
  const ends: StopOutput[] = [];
  for (const one of begun) {
    const end = 'run' in one ? await outputOf(context, runs, one, options) : one;
    ends.push(end);
    if (!options.json) terminal.print(`Run ${end.id}: ${colorWord(terminal, end.state)}. ${end.message}`);
  }
  if (options.json) terminal.json(ends);
  return EXIT.succeeded;
}

/** Asks for the stop of one run and returns at once. */
export async function requestStop(runs: Runs, run: Run): Promise<StopOutput> {
  const begun = await stop(runs, run);
  return 'run' in begun ? underWay(begun) : begun;
}

/** Asks for the stop. A run that has ended already is returned as it ended. */
async function stop({ executions, store }: Runs, run: Run): Promise<Stopping | StopOutput> {
  const { execution } = run;
  const was = execution === null ? summaryOf(run.manifest) : await summarize(executions, store, execution);
  if (was === null)
    throw setUpError(`Run ${run.id} has been deleted meanwhile.`, 'To list all runs: runctl list --all');
  if (execution === null || !isRunning(execution)) {
    const message = was.outcome === null ? SAVING : 'It had already ended.';
    return { ...identityOf(was), message, isKept: was.isKept };
  }
  const { verified, instance } = readRun(await executions.beginning(run.arn));
  await executions.stop(run.arn, CAUSE);
  return { run, was, grace: verified && instance ? verified.spec.stopGrace : null };
}

async function outputOf(context: Context, runs: Runs, stopping: Stopping, { wait }: StopOptions): Promise<StopOutput> {
  const { was, run } = stopping;
  const ended = underWay(stopping);
  if (!wait) return ended;
  const isKept = await waitForProcesses(context, runs, stopping);
  if (!isKept) return { ...ended, message: `${endedText(was.state)} ${SAVING}` };
  const manifest = run.execution && (await manifestOf(runs.store, run.execution));
  if (manifest === null)
    throw setUpError(`The manifest of run ${run.id} has been deleted.`, `To check: runctl status ${run.id}`);
  for (const warning of manifest.warnings) context.terminal.warn(warning);
  const { outcome } = manifest;
  const files = manifest.logs.length > 0 || manifest.outputs.archive !== null;
  const pull = files ? ` Outputs and logs: runctl pull ${run.id}` : '';
  return { ...ended, state: outcome, outcome, message: `${endedText(was.state)}${pull}`, isKept: true };
}

function underWay({ was, run }: Stopping): StopOutput {
  const message = `To see how far it is: runctl status ${run.id}`;
  return { ...identityOf(was), state: 'stopping', outcome: null, isKept: false, message };
}

const SAVING = 'Outputs and logs are being saved; runctl pull waits for them.';

/** Only a run that trains has a training that ends. */
function endedText(was: RunWord): string {
  if (was === 'training' || was === 'launching') return 'The training has ended.';
  return was === 'queued'
    ? 'It waited for its instance, and has left the queue.'
    : `It was ${was}, and has not trained.`;
}

function identityOf({ id, arn, project, state, outcome }: RunSummary) {
  return { id, arn, project, state, outcome };
}

/** Waits until no process of the run is left. @returns whether everything of it is saved as well */
async function waitForProcesses(context: Context, { store }: Runs, stopping: Stopping): Promise<boolean> {
  const { terminal, signal } = context;
  const { id } = stopping.run;
  const notes = retryNotes((line) => terminal.note(line));
  const began = performance.now();
  try {
    return await terminal.working(`Run ${id}: ${phase([], stopping)}`, async (update) => {
      const readFiles = async () => {
        const files = await retryUntilReachable(() => store.files(id), notes, signal);
        if (has(files, MANIFEST)) return true;
        if (has(files, STOPPED)) return false;
        const lasted = performance.now() - began;
        update(`Run ${id}: ${phase(files, stopping)}, ${formatDuration(lasted / 1_000)}`);
        if (files.length === 0 && lasted > STARTS_WITHIN_MS) throw cleanUpNotStarted(id, lasted);
        return undefined;
      };
      return await pollUntil(POLL_MS, readFiles, signal);
    });
  } catch (error) {
    if (signal.aborted && !terminal.out.errored)
      terminal.note(`The run is still being stopped. To see the progress: runctl status ${id}`);
    throw error;
  }
}

function has(files: readonly StoredFile[], name: string): boolean {
  return files.some((file) => file.name === name);
}

/** What is under way, in words. */
export function phase(
  files: readonly StoredFile[],
  { was, grace }: Pick<Stopping, 'grace'> & { was: { state: RunWord } },
): string {
  if (grace === null) return 'stopping; nothing of it is on an instance';
  const trains = was.state === 'training' || was.state === 'launching';
  if (!trains) return `stopping; it was ${was.state}, and has not trained`;
  if (files.length === 0) return 'stopping; TERM is on its way to the training';
  return `stopping; the training has up to ${formatDuration(grace)} (stopGrace) to exit after TERM`;
}

function cleanUpNotStarted(id: string, ms: number) {
  return setUpError(
    `The execution of run ${id} is stopped, but after ${formatDuration(ms / 1_000)} its clean-up has not started: the event was lost.`,
    'The next run on the instance cleans it up. To do it now, invoke the function runctl-stop-run with {"detail":{"executionArn":"<ARN of the run>"}}',
  );
}
