import type { Execution } from '../../aws/executions.ts';
import { isRunning } from '../../aws/executions.ts';
import { MANIFEST } from '../../core/names.ts';
import { formatDuration } from '../../core/units.ts';
import { readRun } from '../../core/workflow/history.ts';
import { retryNotes, retryUntilReachable } from '../account/retry.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode, setUpError } from '../errors.ts';
import { colorOutcome } from '../terminal/outcome-color.ts';
import { pollUntil } from '../terminal/poll.ts';
import type { Run, Runs } from './find.ts';
import type { StoredFile } from './store.ts';
import { endingOf } from './summary.ts';

const POLL_MS = 2_000;
/** The function stop-run writes it when it starts. */
const STARTED = 'stopping.json';
/** The event of an aborted execution normally arrives within seconds. */
const STARTS_WITHIN_MS = 5 * 60_000;
const CAUSE = 'runctl stop';

/** Stops a run: TERM, the grace period, saving outputs and logs; waits until the manifest is written. */
export async function stopRun(
  context: Context,
  runs: Runs,
  run: Run,
  options: { readonly wait: boolean },
): Promise<ExitCode> {
  const { terminal, signal } = context;
  const { execution } = run;
  if (execution === null || !isRunning(execution)) {
    const outcome = execution === null ? run.manifest.outcome : endingOf(execution)?.outcome;
    terminal.print(`Run ${run.id} has already ended: ${outcome}.`);
    return EXIT.succeeded;
  }
  const { verified, instance } = readRun(await runs.executions.beginning(run.arn));
  await runs.executions.stop(run.arn, CAUSE);
  const grace = verified && instance ? verified.spec.stopGrace : null;
  if (!options.wait) {
    terminal.print(`Run ${run.id} is being stopped. To see the progress: runctl status ${run.id}`);
    return EXIT.succeeded;
  }
  try {
    await waitForManifest(context, runs, execution, grace);
  } catch (error) {
    if (signal.aborted && !terminal.out.errored)
      terminal.note(`The run is still being stopped. To see the progress: runctl status ${run.id}`);
    throw error;
  }
  return await printEnding(context, runs, run.id);
}

async function waitForManifest(
  { terminal, signal }: Context,
  { store }: Runs,
  { name }: Execution,
  grace: number | null,
): Promise<void> {
  const notes = retryNotes((line) => terminal.note(line));
  const began = performance.now();
  await terminal.working(phase([], grace), async (update) => {
    let shown = phase([], grace);
    const readFiles = async () => {
      const files = await retryUntilReachable(() => store.files(name), notes, signal);
      if (files.some((file) => file.name === MANIFEST)) return true;
      const current = phase(files, grace);
      // A pipe shows no spinner, so each phase is a line there.
      if (current !== shown) terminal.err.isTTY ? update(current) : terminal.note(current);
      shown = current;
      const lasted = performance.now() - began;
      if (files.length === 0 && lasted > STARTS_WITHIN_MS) throw cleanUpNotStarted(name, lasted);
      return undefined;
    };
    await pollUntil(POLL_MS, readFiles, signal);
  });
}

/** @param grace seconds; null: the run has not reached an instance */
export function phase(files: readonly StoredFile[], grace: number | null): string {
  const stored = files.map(({ name }) => name).filter((name) => name !== STARTED);
  if (stored.length > 0) return `Saving outputs and logs (in S3: ${stored.join(', ')})`;
  if (grace === null) return 'The execution is stopped; nothing runs on an instance. Writing the manifest';
  if (files.length === 0) return 'The execution is stopped. Waiting for the clean-up to send TERM';
  return `TERM was sent. Waiting up to ${formatDuration(grace)} (stopGrace) for the training to exit`;
}

async function printEnding({ terminal }: Context, { store }: Runs, id: string): Promise<ExitCode> {
  const manifest = await store.manifest(id);
  if (manifest === null)
    throw setUpError(`The manifest of run ${id} has been deleted.`, `To check: runctl status ${id}`);
  terminal.print(`Run ${id}: ${colorOutcome(terminal, manifest.outcome)}. ${manifest.message}`);
  for (const warning of manifest.warnings) terminal.warn(warning);
  const files = [...manifest.logs.map(({ key }) => key), manifest.outputs.archive?.key].filter(Boolean).length;
  if (files > 0) terminal.note(`To download outputs and logs: runctl pull ${id}`);
  return EXIT.succeeded;
}

function cleanUpNotStarted(id: string, ms: number) {
  return setUpError(
    `The execution of run ${id} is stopped, but after ${formatDuration(ms / 1_000)} its clean-up has not started: the event was lost.`,
    'The next run on the instance cleans it up. To do it now, invoke the function runctl-stop-run with {"detail":{"executionArn":"<ARN of the run>"}}',
  );
}
