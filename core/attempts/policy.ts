import type { RetriedOutcome, Retries } from '../spec/retries.ts';
import type { EndedAttempt, Run, VerifyOutput } from '../workflow/data.ts';

/** The history of an execution has 25,000 events, and an attempt takes up to 120 of them (bench/history-events.ts). */
export const MAX_ATTEMPTS = 100;
/** A training that ends so soon after its start has not come beyond the checkpoint that it went on from. */
const DIED_AT_ONCE_S = 60;
/** Of a run that began with an older version. */
const NO_RETRIES: Retries = { on: [], times: 0, needsCheckpoint: true };

export type Decision =
  | { readonly isRetried: false; readonly why: string | null }
  /** `fallback`: from the checkpoint before the one that the attempt went on from. */
  | { readonly isRetried: true; readonly fallback: boolean };

const no = (why: string | null = null): Decision => ({ isRetried: false, why });

/**
 * Whether a run makes another attempt.
 * @param ended the attempt that has ended
 * @param earlier the attempts before it
 */
export function decide(
  { run, spec }: { run: Run; spec: VerifyOutput['spec'] },
  ended: EndedAttempt,
  earlier: readonly EndedAttempt[],
): Decision {
  const { retries = NO_RETRIES } = spec;
  const isFallback = mayFallBack(ended, run);
  const isRetried = retries.times > 0 && retries.on.includes(ended.outcome as RetriedOutcome);
  if (!isFallback && !isRetried) return no();
  const hasCheckpoint = ended.saved !== null || ended.resumedFrom !== null;
  if (!isFallback && retries.needsCheckpoint && !hasCheckpoint) return no();
  if (ended.attempt >= MAX_ATTEMPTS) return no(`A run makes ${MAX_ATTEMPTS} attempts at most.`);
  if ((run.trainedSeconds ?? 0) + ended.seconds >= spec.maxDuration - 1) {
    return no('There was no further attempt: its attempts together have trained for maxDuration.');
  }
  if (isFallback) return { isRetried: true, fallback: true };
  const fruitless = countFruitless([...earlier, ended]);
  if (fruitless > retries.times) {
    const times = retries.times === 1 ? 'once' : `${retries.times} times`;
    return no(`It was tried again ${times}, and no attempt saved a new checkpoint.`);
  }
  return { isRetried: true, fallback: false };
}

/** The newest checkpoint may be what ends the training. Its loading may as well not be to blame: once only. */
function mayFallBack({ outcome, seconds, resumedFrom, saved }: EndedAttempt, { resume }: Run): boolean {
  const isOwnEnd = outcome === 'failed' || outcome === 'killed';
  return isOwnEnd && resumedFrom !== null && saved === null && seconds <= DIED_AT_ONCE_S && resume?.isFallback !== true;
}

/** Attempts in a row, up to the last, that saved no new checkpoint. */
function countFruitless(attempts: readonly EndedAttempt[]): number {
  const last = attempts.findLastIndex(({ saved }) => saved !== null);
  return attempts.length - 1 - last;
}
