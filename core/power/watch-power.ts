import type { RunSpec } from '../spec/spec.ts';
import type { CleanUpProgress, Instance, PowerInput, Run } from '../workflow/data.ts';

/** Where neither the run nor the instance says it. Seconds. */
export const DEFAULT_STOP_AFTER_S = 600;

/** Begins an execution of runctl-power; one of the same name is begun once. */
export type WatchPower = (name: string, input: PowerInput) => Promise<void>;

/** What stops the instance after a run. null: nothing does. */
export function powerInput(about: {
  readonly run: Run;
  readonly spec: Pick<RunSpec, 'stopAfter' | 'user'> & { readonly project: string };
  readonly instance: Instance;
}): PowerInput | null {
  const { run, spec, instance } = about;
  const stopAfter = spec.stopAfter ?? instance.stopAfter ?? DEFAULT_STOP_AFTER_S;
  if (!instance.managed || stopAfter === 'never') return null;
  const { id, key, arn, program } = run;
  const { project, user } = spec;
  return { run: { id, key, arn, program }, project, user, instance, stopAfter, wait: stopAfter };
}

/** Longer than any pause between the requests of a run whose functions work: retries of a state take six minutes. */
const SILENCE_S = 600;
/** runctl-power stops it before that. */
const MARGIN_S = 60;

/** When the instance shuts itself down, because nobody has used it for so many seconds; null: never. */
export function shutdownAfter(about: Parameters<typeof powerInput>[0]): { readonly after: number } | null {
  const { managed, mayShutDown } = about.instance;
  if (!mayShutDown) return null;
  // Nothing but its bake uses an instance that a bake made.
  const quiet = managed ? powerInput(about)?.stopAfter : SILENCE_S;
  return quiet === undefined ? null : { after: Math.max(quiet, SILENCE_S) + MARGIN_S };
}

/** After the end of a run. */
export function nameAfterRun(run: Pick<Run, 'key'>): string {
  return `${run.key}-stop`;
}

/** Of a start of the instance, at a time in epoch seconds. */
export function nameAfterStart(run: Pick<Run, 'key'>, at: number): string {
  return `${run.key}-${Math.floor(at).toString(36)}`;
}

/** The instance has been given back, or given up. */
const RELEASED: readonly CleanUpProgress['phase'][] = ['drain', 'join', 'done'];

/** Begins what stops the instance, once it has been given back. A failure is a warning: the instance then stops itself, or goes on. */
export async function watchAfterRun(
  watchPower: WatchPower,
  about: Parameters<typeof powerInput>[0],
  progress: CleanUpProgress,
): Promise<CleanUpProgress> {
  const input = powerInput(about);
  if (input === null || progress.watched || !RELEASED.includes(progress.phase)) return progress;
  try {
    await watchPower(nameAfterRun(about.run), input);
    return { ...progress, watched: true };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const warning = `Nothing stops ${about.instance.id} after this run: ${why}`;
    return { ...progress, watched: true, warnings: [...progress.warnings, warning] };
  }
}
